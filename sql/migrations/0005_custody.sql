-- What operators hold back, and what is let go of.

-- Definitions that an operator has paused: no node takes up a saga of them. Kept after they were resumed.
create table amends.definition_pause (
    n                 bigint generated always as identity primary key,
    name              text        not null,
    at                timestamptz not null,
    by                text        not null,
    application_name  text        not null,
    addr              inet,
    reason            text        not null,
    resumed_at        timestamptz,
    resumed_by        text,
    resume_reason     text
);
create unique index definition_pause_held on amends.definition_pause (name) where resumed_at is null;

-- Old keys are found by their time; they were written in its order.
create index start_key_at on amends.start_key using brin (at);
