-- Notifies the session that listens, with a payload $1 that only this session knows. Other nodes ignore it.
-- Called by: store/listener.rs. Locks: none. Index: none.
select pg_notify('amends_wake', $1::text)
