# PostgreSQL as a peer of bench/bank: one primary and two standbys of this machine, a commit waits until one standby has it on
# disk, as ours waits for one of two followers. Sourced by run.sh; needs Debian's postgresql-15.
# shellcheck shell=sh

pg_bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1)
# shellcheck disable=SC2154 # run.sh has made the folder
pg_dir=$(cd "$work" && pwd)/pg # a server looks for its socket from a directory of its own
pg_user=$(id -un)
if [ "$(id -u)" -eq 0 ]; then pg_user=postgres; fi
pg_as() { # PostgreSQL refuses to run as root
    if [ "$(id -u)" -eq 0 ]; then runuser -u "$pg_user" -- "$@"; else "$@"; fi
}
pg_sql() { pg_as "$pg_bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$pg_dir" -p "$pg_port" -d postgres "$@"; }

pg_configure() { # pg_configure DIR PORT
    cat >>"$1/postgresql.conf" <<CONF
port = $2
listen_addresses = ''
unix_socket_directories = '$pg_dir'
max_connections = 300
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 30min
wal_level = replica
max_wal_senders = 8
hot_standby = on
logging_collector = off
fsync = on
synchronous_commit = on
full_page_writes = on
CONF
}

pg_start_one() { pg_as "$pg_bin/pg_ctl" -s -w -D "$1" -l "$1.log" start; }

pg_start() { # pg_start BASE-PORT
    pg_port=$1
    mkdir -p "$pg_dir"
    if [ "$(id -u)" -eq 0 ]; then chown "$pg_user" "$pg_dir"; fi
    pg_as "$pg_bin/initdb" -D "$pg_dir/primary" -A trust -U "$pg_user" --no-instructions >"$work/initdb.log" 2>&1 || return 1
    pg_as chmod 700 "$pg_dir/primary"
    pg_configure "$pg_dir/primary" "$pg_port"
    pg_start_one "$pg_dir/primary" || return 1
    for i in 1 2; do
        pg_as "$pg_bin/pg_basebackup" -h "$pg_dir" -p "$pg_port" -D "$pg_dir/standby-$i" -c fast -R \
            -d "application_name=standby_$i" >"$work/basebackup.log" 2>&1 || return 1
        pg_configure "$pg_dir/standby-$i" $((pg_port + i))
        sed -i "s/^primary_conninfo.*/primary_conninfo = 'host=$(printf '%s' "$pg_dir" | sed 's/[\/&]/\\&/g') port=$pg_port application_name=standby_$i'/" \
            "$pg_dir/standby-$i/postgresql.auto.conf"
        pg_start_one "$pg_dir/standby-$i" || return 1
    done
    pg_sql -c "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (standby_1, standby_2)'" -c "SELECT pg_reload_conf()" >/dev/null
}

pg_stop() {
    for d in "$pg_dir"/standby-1 "$pg_dir"/standby-2 "$pg_dir"/primary; do
        if [ -d "$d" ]; then pg_as "$pg_bin/pg_ctl" -s -m fast -D "$d" stop >/dev/null 2>&1 || true; fi
    done
}

# Double entry with a guard: the debit account's balance may not fall below zero. The two rows are updated in the order of
# their ids, so that two transfers never wait for each other in a circle.
pg_fill() { # pg_fill ACCOUNTS
    pg_sql <<SQL
CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0)) WITH (fillfactor = 50);
CREATE TABLE transfers (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), debit bigint NOT NULL, credit bigint NOT NULL,
                        amount bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
INSERT INTO accounts SELECT g, 1000000000 FROM generate_series(1, $1) g;
CREATE FUNCTION transfer(d bigint, c bigint, a bigint) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
    IF d < c THEN
        UPDATE accounts SET balance = balance - a WHERE id = d;
        UPDATE accounts SET balance = balance + a WHERE id = c;
    ELSE
        UPDATE accounts SET balance = balance + a WHERE id = c;
        UPDATE accounts SET balance = balance - a WHERE id = d;
    END IF;
    INSERT INTO transfers (debit, credit, amount) VALUES (d, c, a);
END \$\$;
SQL
    pg_sql -c "VACUUM ANALYZE" -c "CHECKPOINT"
}

pg_script() { # pg_script ACCOUNTS uniform|hot: what a client of pgbench does; hot: both sides are among ten accounts
    among=$1
    if [ "$2" = hot ]; then among=10; fi
    printf '\\set d random(1, %d)\n\\set c 1 + (:d + random(1, %d) - 1) %% %d\n' "$among" $((among - 1)) "$among"
    printf 'SELECT transfer(:d, :c, 1);\n'
}

# pg_run NAME LEVEL CONNECTIONS SECONDS: transfers per second, then the retries it took. LEVEL: read committed (row locks) or
# serializable.
pg_run() {
    pg_as env PGOPTIONS="-c default_transaction_isolation=$(printf %s "$2" | sed 's/ /\\ /g')" \
        "$pg_bin/pgbench" -n -h "$pg_dir" -p "$pg_port" -d postgres -U "$pg_user" -M prepared -c "$3" -j 1 -T "$4" \
        --max-tries=1000 -f "$work/$1.sql" >"$work/pgbench.out" 2>&1 || {
        cat "$work/pgbench.out" >&2
        return 1
    }
    awk '/^tps = /{tps = $3} /^total number of retries/{r = $5} END {printf "%.0f %d\n", tps, r}' "$work/pgbench.out"
}

# The sum of all balances is what it was.
pg_audit() { # pg_audit ACCOUNTS
    [ "$(pg_sql -A -t -c "SELECT sum(balance) = $1 * 1000000000::numeric FROM accounts")" = t ]
}
