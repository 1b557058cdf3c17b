-- The views of nodes, definitions and throughput, for people. The views of sagas are in views.sql; its rules hold
-- here too.

-- What waits for a node: how many sagas (10000 means at least that many), and since when the oldest waits.
create or replace view amends.backlog as
select d.name as definition, d.digest, least(r.ready + s.ready, 10000) as ready, least(r.at, s.at) as oldest_at,
       amends.now() - least(r.at, s.at) as oldest_age
from amends.definition d
cross join lateral (
    select (select count(*) from (select from amends.ready r where r.definition = d.id order by r.n limit 10000) r)
               as ready,
           (select r.at from amends.ready r where r.definition = d.id order by r.n limit 1) as at
) r
cross join lateral (
    select (select count(*)
            from (select from amends.start_queue s where s.definition = d.id and s.n > 0 order by s.n limit 10000) s
           ) as ready,
           (select s.at from amends.start_queue s where s.definition = d.id and s.n > 0 order by s.n limit 1) as at
) s
where r.ready + s.ready > 0;

-- Starts that wait for a node, of definitions with a priority or a fairness key: how many of each, and since when the
-- oldest waits. Looks at the first 10000 of each definition, in the order in which nodes take them.
create or replace view amends.queues as
select d.name as definition, (array['high', 'normal', 'low'])[(r.n >> 61)::int] as priority, r.fairness,
       count(*) as ready, min(r.at) as oldest_at, amends.now() - min(r.at) as oldest_age
from amends.definition d
cross join lateral (
    select r.n, r.fairness, r.at
    from amends.ready r
    where r.definition = d.id and r.n >= 1::bigint << 61
    order by r.n
    limit 10000
) r
group by 1, 2, 3;

-- Node incarnations: `live`; `late` (no beat within its time to live: its sagas are about to be taken over);
-- `draining`, then `drained` (an operator told it to take no sagas); or `gone`.
create or replace view amends.nodes as
select n.id as node, n.name, n.version, n.schema_version,
       case when n.gone_at is not null then 'gone'
            when n.beat_at < amends.now() - n.ttl_ms * interval '1 ms' then 'late'
            when d.n is null then 'live'
            when not n.draining or exists (
                select from amends.lane l
                where l.node = n.id and (select g.id from amends.saga g where g.lane = l.id limit 1) is not null)
                then 'draining'
            else 'drained' end as state,
       n.joined_at, n.beat_at, n.gone_at, n.ttl_ms * interval '1 ms' as time_to_live,
       case when n.gone_at is null then n.sagas else 0 end as sagas,
       (select count(*) from amends.lane l where l.node = n.id and l.live) as lanes, d.at as drained_since,
       n.connections, exists (select from amends.listener l where l.node = n.id) as listens
from amends.node n
left join amends.fleet_signal d on d.node = n.id and d.verb = 'drain_node' and d.lifted_by is null;

-- The chores of the fleet: work that one node does for all nodes, which node has it and until when. `held`: no other
-- node may take it yet.
create or replace view amends.chores as
select c.name as chore, c.until > amends.now() as held, c.node, n.name as node_name, c.until
from amends.chore c
left join amends.node n on n.id = c.node;

-- What waits on a node before it may begin, as of the node's last beat, oldest first. Calls (`step`, `direction`)
-- wait for a place at a participant or for a transaction, and nothing has been sent yet. Sagas wait for a lone trial.
create or replace view amends.waits as
select (w.wait ->> 'saga')::uuid as saga, w.wait ->> 'step' as step, w.wait ->> 'direction' as direction,
       w.wait ->> 'for' as waits_for,
       to_timestamp((w.wait ->> 'since')::bigint / 1000.0) as since, n.id as node, n.beat_at as as_of
from amends.node n
cross join lateral json_array_elements(n.waits) with ordinality as w (wait, place)
where n.gone_at is null
order by since, n.id, w.place;

-- Nodes that were told to take no sagas: the operator, the time and the reason. `held`: the drain still holds.
create or replace view amends.node_drains as
select d.node, n.name, d.lifted_by is null as held, d.at, d.by, d.application_name, host(d.addr) as address, d.reason,
       l.at as undone_at, l.by as undone_by, l.reason as undo_reason, d.n as signal, d.lifted_by as undone_with
from amends.fleet_signal d
left join amends.fleet_signal l on l.n = d.lifted_by
left join amends.node n on n.id = d.node
where d.verb = 'drain_node';

-- Sagas that began and ended, by minute and definition, in the last day. What a node saw in the seconds before it was
-- killed is missing: for exact numbers, count amends.sagas.
create or replace view amends.throughput as
select p.minute, d.name as definition, sum(p.started)::bigint as started, sum(p.completed)::bigint as completed,
       sum(p.compensated)::bigint as compensated, sum(p.abandoned)::bigint as abandoned, sum(p.stuck)::bigint as stuck
from amends.passage p
join amends.definition d on d.id = p.definition
group by p.minute, d.name;

-- Events that are not relayed yet: how many (10000 means at least that many), and since when the oldest waits.
create or replace view amends.outbox_lag as
select c.events, o.at as oldest_at, amends.now() - o.at as oldest_age
from (select count(*) as events from (select from amends.outbox limit 10000) o) c
left join lateral (select o.at from amends.outbox o order by o.n limit 1) o on true;

-- Definitions with their live sagas, as of the last census. One that is not current and has no live saga may be
-- retired.
create or replace view amends.definitions as
select d.name, d.digest, c.definition is not null as current, coalesce(s.live, 0) as live,
    coalesce(s.stuck, 0) as stuck,
       coalesce(s.paused, 0) as paused, (select max(c.at) from amends.census c) as counted_at, d.created_at,
       d.draft::json ->> 'description' as description
from amends.definition d
left join amends.current_definition c on c.definition = d.id
left join lateral (
    select sum(c.sagas)::bigint as live, (sum(c.sagas) filter (where c.status = 'stuck'))::bigint as stuck,
           (sum(c.sagas) filter (where c.status = 'paused'))::bigint as paused
    from amends.census c where c.definition = d.id
) s on true;

-- Definitions that are or were paused: the operator, the time and the reason.
create or replace view amends.definition_pauses as
select p.definition, p.lifted_by is null as held, p.at, p.by, p.application_name, host(p.addr) as address, p.reason,
       l.at as resumed_at, l.by as resumed_by, l.reason as resume_reason, p.n as signal, p.lifted_by as resumed_with
from amends.fleet_signal p
left join amends.fleet_signal l on l.n = p.lifted_by
where p.verb = 'pause_definition';

-- What was erased by request: the asker, the time, the reason, and how much. A saga that was erased by its start key
-- is listed by its id; the key is not kept.
create or replace view amends.erasures as
select e.n as erasure, e.at, e.by, e.application_name, host(e.addr) as address, e.reason, e.saga, e.by_key,
       e.definition, e.before, e.sagas, e.rows
from amends.erasure e;

-- What is wrong with the installation, and what to do about it: `level` is ok, warning or fault. `amends doctor`
-- prints it.
create or replace view amends.checkup as
select c.subject, case when c.fault then 'fault' when c.warning then 'warning' else 'ok' end as level, c.found,
       case when c.fault or c.warning then c.remedy end as remedy
from (
    select 'durability', current_setting('fsync') <> 'on' or current_setting('full_page_writes') <> 'on',
           false, format('fsync %s, full_page_writes %s', current_setting('fsync'),
               current_setting('full_page_writes')),
           'what is acknowledged may be lost with a crash of the server: turn both on and restart it'
    union all
    select 'vacuum', current_setting('autovacuum') <> 'on' or current_setting('track_counts') <> 'on', false,
           format('autovacuum %s, track_counts %s', current_setting('autovacuum'), current_setting('track_counts')),
           'dead rows pile up at the head of the queue: turn both on'
    union all
    select 'roles', false, count(*) filter (where to_regrole(r.name) is null) > 0,
           coalesce('missing: ' || string_agg(r.name, ', ') filter (where to_regrole(r.name) is null),
               'all five are there'),
           'create them (nologin) as a role that may, then run `amends migrate` again for the grants'
    from (values ('amends_observer'), ('amends_viewer'), ('amends_producer'), ('amends_operator'),
        ('amends_runtime')) r (name)
    union all
    select 'grants', count(p.oid) > 0, false,
           case when count(p.oid) = 0 then 'nothing is granted to everybody' else 'everybody may call '
               || string_agg(p.proname, ', ') end,
           'revoke it from public; `amends migrate` does'
    from pg_proc p
    where p.pronamespace = 'amends'::regnamespace
      and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)
    union all
    select 'schemas', count(*) > 0, false,
           case when count(*) = 0 then 'creating in them needs a grant'
                else 'everybody may create in ' || string_agg(n.nspname, ', ' order by n.nspname) end,
           'an operator that a login creates there runs with the rights of the users of the path: '
           -- A name has the collation C, which the column had not before.
           || string_agg(format('revoke create on schema %I from public', n.nspname), '; ' order by n.nspname)
              collate "default"
    from pg_namespace n
    where has_schema_privilege('public', n.oid, 'create')
      and n.nspname = any (array['amends', 'public'] || array(
          select btrim(p.part, ' "') from pg_settings s cross join unnest(string_to_array(s.reset_val, ',')) p (part)
          where s.name = 'search_path'))
    union all
    select 'partitions of ' || t.name, count(c.oid) = 0, count(c.oid) = 1, count(c.oid) || ' ahead',
           'nodes make them: does one run, and does its log say `chore not done`?'
    from (values ('journal'), ('saga_done')) t (name)
    left join pg_class c on c.relnamespace = 'amends'::regnamespace and c.relkind = 'r'
         and c.relname ~ ('^' || t.name || '_[0-9]{8}$') and c.relname > t.name || '_'
             || to_char(amends.now(), 'YYYYMMDD')
    group by t.name
    union all
    select 'oldest snapshot', x.age > 50e6, x.age > 5e6, x.age || ' transactions ago, by ' || x.holder,
           'dead rows cannot be removed until it is gone: end that transaction, or drop that slot'
    from (
        select h.age, h.holder from (
            select age(a.backend_xmin)::bigint as age, 'process ' || a.pid
                || coalesce(' of ' || a.usename, '') as holder
            from pg_stat_activity a where a.backend_xmin is not null
            union all
            select greatest(age(s.xmin), age(s.catalog_xmin))::bigint, 'slot ' || s.slot_name
                from pg_replication_slots s
            where coalesce(s.xmin, s.catalog_xmin) is not null
            union all
            select age(p.transaction)::bigint, 'prepared transaction ' || p.gid from pg_prepared_xacts p
        ) h order by h.age desc limit 1
    ) x
    union all
    select 'replication slots', coalesce(max(b.bytes), 0) > 10e9, count(*) filter (where not b.active) > 0,
           case when count(*) = 0 then 'none'
                else string_agg(format('%s%s holds back %s', b.slot_name, case when b.active then ''
                    else ' (no reader)' end,
                                       pg_size_pretty(b.bytes)), '; ') end,
           'a slot without a reader fills the disk: repair its reader, or drop the slot'
    from (
        select s.slot_name, s.active, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.restart_lsn)::bigint as bytes
        from pg_replication_slots s
    ) b
    union all
    select 'dead rows', false, coalesce(max(t.n_dead_tup), 0) > 1e6,
           coalesce('most in ' || (array_agg(t.relname || ': ' || t.n_dead_tup order by t.n_dead_tup desc))[1], 'none'),
           'vacuum does not keep up: see the oldest snapshot, then vacuum that table by hand'
    from pg_stat_user_tables t where t.schemaname = 'amends'
    union all
    select 'nodes', false, count(*) filter (where n.state = 'live') = 0 or count(*) filter (where n.state = 'late') > 0,
           format('%s live, %s late', count(*) filter (where n.state = 'live'),
               count(*) filter (where n.state = 'late')),
           'nothing moves without a live node: `amends serve`'
    from amends.nodes n
    union all
    select 'connections', f.most > f.allowed, f.most > 0.8 * f.allowed,
           format('the live nodes may open %s, the server allows %s', f.most, f.allowed),
           'raise max_connections, or lower node.lanes, node.pool or the number of nodes; a pooler must allow as many'
    from (
        select coalesce(sum(n.connections), 0) as most,
               current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                   as allowed
        from amends.nodes n where n.state in ('live', 'draining', 'drained')
    ) f
    union all
    select 'chores', false, count(*) > 0, coalesce('no node does ' || string_agg(c.name, ', ' order by c.name),
               'each has a node'),
           'nodes take them within seconds: does one run, and does its log say `could not look for work`?'
    from amends.chore c where c.until < amends.now() - interval '30 s'
    union all
    select 'journal chains', false, count(*) filter (where j.seq > 1 and j.link is null) > 0 and count(j.link) > 0,
           case when count(j.link) = 0 then 'none of the last rows is chained'
                else format('%s of the last %s rows are chained', count(j.link), count(*)) end,
           'some nodes chain journals and others do not, or one began to: give all of them journal.chain: true'
    from (select r.seq, r.link from amends.journal r order by r.id desc, r.seq desc limit 200) j
    union all
    select 'stuck sagas', false, count(*) > 0, count(*)::text, 'they need a person: select * from amends.stuck'
    from (select from amends.stuck limit 1000) s
    union all
    select 'lost sagas', count(*) > 0, false, count(*)::text,
           'an older version lost their input before their first row, so nothing was called: '
           'select * from amends.stuck where reason = ''lost''; amends.restore_input gives it back'
    from (select from amends.unreadable u
          where not exists (select from amends.journal j where j.id = u.id)
            and exists (select from amends.saga g where g.id = u.id and g.deaths = 0)
          limit 1000) l
    union all
    select 'waits for a node', false, coalesce(max(b.oldest_age), '0') > interval '1 min',
           coalesce('longest ' || max(b.oldest_age), 'none'),
           'no node can run them, or all are full: select * from amends.backlog, amends.nodes'
    from amends.backlog b
    union all
    select 'paused definitions', false, count(*) > 0, coalesce(string_agg(p.definition, ', '), 'none'),
           'an operator did that: select * from amends.definition_pauses; amends.resume_definition'
    from amends.definition_pauses p where p.held
    union all
    select 'drained nodes', false, count(*) > 0, coalesce(string_agg(format('%s (%s)', n.node, n.name), ', '
        order by n.node), 'none'),
           'an operator did that: select * from amends.node_drains; stop them, or amends.undrain_node'
    from amends.nodes n where n.state in ('draining', 'drained')
) c (subject, fault, warning, found, remedy);
