-- Prepares a handler's transaction for the row of its success: says whether it is still the one that was begun for call $1, and
-- whether row $3 of saga $2, which the new one follows, is there: a promoted standby may lack it. The rest of the transaction
-- runs under the settings of our own sessions; it waits for locks up to $4 ms, runs up to $5 ms and pauses up to $6 ms.
-- Called by: store/within.rs. Locks: none. Index: journal_pkey.
select coalesce(current_setting('amends.call', true), '') = $1::text as same,
       $3::int = 0 or exists (
           select from amends.journal j where j.id = $2::uuid and j.seq = $3::int limit 1) as follows,
       set_config('lock_timeout', $4::text, true) as lock_timeout,
       set_config('statement_timeout', $5::text, true) as statement_timeout,
       set_config('idle_in_transaction_session_timeout', $6::text, true) as idle_timeout,
       set_config('jit', 'off', true) as jit,
       set_config('plan_cache_mode', 'force_generic_plan', true) as plan_cache_mode,
       set_config('enable_seqscan', 'off', true) as seqscan,
       set_config('enable_bitmapscan', 'off', true) as bitmapscan,
       set_config('enable_mergejoin', 'off', true) as mergejoin
