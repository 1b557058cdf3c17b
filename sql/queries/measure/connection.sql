-- Reads whether this connection is encrypted, and by which version of TLS.
-- Called by: store/measure.rs. Locks: none. Index: none.
select coalesce(s.ssl, false) as ssl, coalesce(s.version, '') as version
from (select pg_backend_pid() as pid) p
left join pg_stat_ssl s using (pid)
