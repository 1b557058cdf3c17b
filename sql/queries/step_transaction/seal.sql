-- Prepares a handler's transaction for the row of the handler's success. Returns whether row $2 of saga $1, the row
-- before the new one, is there: a promoted standby may lack it. Gives the rest of the transaction the settings of the
-- store's own sessions: it waits for locks up to $3 ms, runs statements up to $4 ms and pauses up to $5 ms. Its
-- commit is at least as durable as $6.
-- Called by: store/step_transaction.rs, prepared by store/session.rs. Locks: none. Index: journal_pkey.
select $2::int = 0 or exists (
           select from amends.journal j where j.id = $1::uuid and j.seq = $2::int limit 1) as follows,
       set_config('lock_timeout', $3::text, true) as lock_timeout,
       set_config('statement_timeout', $4::text, true) as statement_timeout,
       set_config('idle_in_transaction_session_timeout', $5::text, true) as idle_timeout,
       set_config('synchronous_commit',
                  case when array_position(array['off', 'local', 'remote_write', 'on', 'remote_apply'],
                                           current_setting('synchronous_commit'))
                          > array_position(array['off', 'local', 'remote_write', 'on', 'remote_apply'], $6::text)
                       then current_setting('synchronous_commit') else $6::text end, true) as synchronous_commit,
       set_config('jit', 'off', true) as jit,
       set_config('plan_cache_mode', 'force_generic_plan', true) as plan_cache_mode,
       set_config('enable_seqscan', 'off', true) as seqscan,
       set_config('enable_bitmapscan', 'off', true) as bitmapscan,
       set_config('enable_mergejoin', 'off', true) as mergejoin
