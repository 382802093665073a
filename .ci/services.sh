# The servers that the tests need on loopback: the ones that answer, else Debian's, started here and stopped at the end.
# Sourced by .ci/run, which sets `work` (a folder of its own) and calls `stop_services`; runs under `set -e`.

POSTGRESQL=postgres://postgres@127.0.0.1:5432

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

as_user() { # as_user NAME command...: PostgreSQL refuses to run as root
  local name=$1
  shift
  if [ "$(id -u)" = 0 ]; then runuser -u "$name" -- "$@"; else sudo -n -u "$name" "$@"; fi
}

install_packages() {
  echo "installing $*"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"$work/packages.log" 2>&1 ||
    { tail -20 "$work/packages.log"; return 1; }
}

port_answers() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

wait_for_port() { # wait_for_port PORT: up to 30 seconds
  local turn
  for turn in $(seq 150); do
    port_answers "$1" && return 0
    sleep 0.2
  done
  echo "nothing answers on port $1 after 30 seconds"
  return 1
}

postgresql_programs() {
  find /usr/lib/postgresql -maxdepth 3 -name initdb -printf '%h\n' 2>/dev/null | sort -V | tail -n 1
}

start_postgresql() {
  if port_answers 5432; then
    echo "PostgreSQL answers on 5432"
    return
  fi
  [ -n "$(postgresql_programs)" ] || install_packages postgresql
  if port_answers 5432; then # the package has started its own, which asks for passwords: ours takes its port
    as_root service postgresql stop
  fi
  local programs data=$work/postgresql
  programs=$(postgresql_programs)
  as_root install -d -o postgres "$data"
  (cd / && as_user postgres "$programs/initdb" -D "$data" -U postgres -A trust -E UTF8 --no-sync >"$work/initdb.log")
  (cd / && as_user postgres "$programs/pg_ctl" -D "$data" -l "$data/log" -w \
    -o "-c listen_addresses=127.0.0.1 -c port=5432 -c unix_socket_directories=$data -c fsync=off -c full_page_writes=off" start >/dev/null)
  echo "$programs" >"$work/postgresql-started"
  wait_for_port 5432
  echo "PostgreSQL started from $programs"
}

start_redis() {
  if port_answers 6379; then
    echo "Redis answers on 6379"
    return
  fi
  command -v redis-server >/dev/null || install_packages redis-server
  if ! port_answers 6379; then
    redis-server --bind 127.0.0.1 --port 6379 --save '' --dir "$work" >"$work/redis.log" 2>&1 &
    echo $! >"$work/redis-started"
  fi
  wait_for_port 6379
  echo "Redis started"
}

start_mariadb() {
  if port_answers 3306; then
    echo "MariaDB answers on 3306"
    return
  fi
  [ -x /usr/sbin/mariadbd ] || install_packages mariadb-server
  if port_answers 3306; then # the package has started its own, whose root signs in by socket only: ours takes its port
    as_root service mariadb stop
  fi
  local data=$work/mariadb
  as_root install -d -o mysql "$data"
  as_user mysql mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal \
    --skip-name-resolve >"$work/mariadb-install.log" 2>&1
  as_user mysql /usr/sbin/mariadbd --no-defaults --datadir="$data" --bind-address=127.0.0.1 --port=3306 \
    --socket="$data/server.sock" --pid-file="$data/server.pid" --skip-name-resolve \
    --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 >"$work/mariadb.log" 2>&1 &
  echo "$data/server.pid" >"$work/mariadb-started"
  wait_for_port 3306
  echo "MariaDB started"
}

find_chromium() {
  if [ -x /usr/bin/chromium ]; then
    echo "Chromium is there"
    return
  fi
  install_packages chromium fonts-liberation
}

stop_services() {
  if [ -f "$work/postgresql-started" ]; then
    (cd / && as_user postgres "$(cat "$work/postgresql-started")/pg_ctl" -D "$work/postgresql" -m immediate stop >/dev/null)
  fi
  if [ -f "$work/mariadb-started" ]; then as_root sh -c "kill \$(cat '$(cat "$work/mariadb-started")')"; fi
  if [ -f "$work/redis-started" ]; then kill "$(cat "$work/redis-started")"; fi
}
