-- Removes up to $1 ended sagas from the quotas.
-- Called by: store/sweep.rs. Locks: none. Index: saga_pkey, quota_use_pkey.
with ended as materialized (
    select u.name, u.fairness, u.id
    from amends.quota_use u
    where (select g.id from amends.saga g where g.id = u.id) is null
    limit $1::bigint
)
delete from amends.quota_use u
where (u.name, u.fairness, u.id) in (select e.name, e.fairness, e.id from ended e)
