create table if not exists notes (id serial primary key, text text not null);
insert into notes (text) select 'first' where not exists (select from notes);
