-- Reads what is wrong with the installation.
-- Called by: store/measure.rs. Locks: none. Index: those of the views that it reads.
select c.subject, c.level, c.found, c.remedy from amends.checkup c
