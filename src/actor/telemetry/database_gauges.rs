//! Publishes measurements of the database as metrics. Owns which number sets which metric. Leaves measuring to the
//! store, and when to measure to `maintenance/measurement.rs`.

use ::metrics::SharedString;

use crate::metrics;
use crate::saga::state::Status;
use crate::store::Measured;

/// Sets every metric of the database. Every node does, so a query over several nodes must take the maximum.
pub(crate) fn set(measured: &Measured) {
    for (name, ready, oldest_s) in &measured.backlog {
        let label = || -> [SharedString; 1] { [name.clone().into()] };
        metrics::READY_SAGAS.with(label()).set(*ready as f64);
        metrics::READY_OLDEST.with(label()).set(*oldest_s);
        for status in Status::ALL.into_iter().filter(|status| !status.is_end()) {
            let counted = measured.live.iter().find(|(of, word, _)| of == name && word == status.as_str());
            let sagas = counted.map_or(0, |(_, _, sagas)| *sagas);
            metrics::SAGAS_LIVE.with([name.clone().into(), status.as_str().into()]).set(sagas as f64);
        }
    }
    for (table, dead) in &measured.dead {
        metrics::DEAD_ROWS.with([table.clone().into()]).set(*dead as f64);
    }
    let [all, idle, waiting] = measured.pool;
    for (state, connections) in [("busy", all - idle.min(all)), ("idle", idle), ("wanted", waiting)] {
        metrics::POOL_CONNECTIONS.with([state.into()]).set(connections as f64);
    }
    metrics::TIMER_LAG.with([]).set(measured.timer_lag_s);
    metrics::OLDEST_XMIN_AGE.with([]).set(measured.oldest_xmin_age as f64);
    metrics::WAL_BYTES.with([]).absolute(measured.wal_bytes);
    metrics::TRANSACTION_IDS.with([]).absolute(measured.transaction_ids);
    metrics::SLOT_BYTES.with([]).set(measured.slot_bytes as f64);
    for (table, ahead) in [("journal", measured.weeks_ahead), ("saga_done", measured.days_ahead)] {
        metrics::PARTITIONS_AHEAD.with([table.into()]).set(ahead as f64);
    }
}
