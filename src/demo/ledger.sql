-- The ledger of one participant of the demo, in the first schema of the search path.
-- Called by: demo/ledger.rs, at the start of every participant process, under an advisory lock.
-- amends itself never reads these tables; only the audit does.

-- Effects of this participant: one row for each, never changed.
create table if not exists effect (
  seq bigint generated always as identity primary key,
  kind text not null,
  booking text not null,
  key text not null,
  subject text not null,
  amount_cents bigint not null,
  call integer not null,
  at timestamptz not null default clock_timestamp()
);
create index if not exists effect_booking on effect (booking, kind);
create index if not exists effect_key on effect (key);

-- The first answer under each idempotency key, including errors that are replayed.
create table if not exists answer (
  key text primary key,
  tool text not null,
  arguments jsonb not null,
  failed boolean not null,
  body jsonb not null,
  at timestamptz not null default clock_timestamp()
);

-- Accepted calls whose effect is not made yet.
create table if not exists accepted (
  key text primary key,
  kind text not null,
  booking text not null,
  subject text not null,
  amount_cents bigint not null,
  call integer not null,
  due_at timestamptz not null
);

-- Effects whose undo came first: the participant refuses them from then on.
create table if not exists tombstone (
  booking text not null,
  kind text not null,
  primary key (booking, kind)
);

-- Number of calls of each tool for each booking; the fault draw depends on it.
create table if not exists call (
  tool text not null,
  booking text not null,
  calls integer not null,
  primary key (tool, booking)
);

-- Injected faults.
create table if not exists fault (
  seq bigint generated always as identity primary key,
  kind text not null,
  tool text not null,
  booking text not null,
  key text not null,
  call integer not null,
  at timestamptz not null default clock_timestamp()
);
create index if not exists fault_booking on fault (booking);
