#!/bin/sh
# Clients of API v1 as they are found in the wild: shell and curl, and nothing known of the engine but v1's five routes.
# Each enters, polls its status until it is READY, then tries seats in random order until a message contains SUCCESS.
#
#   v1_client.sh [BASE_URL [USERS [PARALLEL [SEATS [POLL_SECONDS [FIRST_USER [PATIENCE]]]]]]]
#   v1_client.sh http://127.0.0.1:8080 1000 100 100 1 1 20
#
# A client that hears "sold" PATIENCE times in a row takes the sale for over and goes home.
# Prints one line of totals: users, success, without, failed payments, refused with 403, errors. Exit status 1 if a
# client met something that v1 does not have.
set -u

post_json='Content-Type: application/json'

call() {
    curl -sS --max-time 400 "$@" 2>&1
}

# Enter, and wait until active. Fails when the answers are not v1's.
become_active() {
    answer=$(call -X POST "$base/api/v1/queue/enter?userId=$user")
    tries=0
    while :; do
        case $answer in
        *'"status":"READY"'*) return 0 ;;
        *'"status":"WAITING"'*) tries=0 ;;
        *)
            errors=$((errors + 1))
            tries=$((tries + 1))
            [ "$tries" -lt 10 ] || return 1
            ;;
        esac
        sleep "$poll"
        answer=$(call "$base/api/v1/queue/status?userId=$user")
    done
}

# Try the seats in $seats, each once, and keep in $left those that may be had later.
# Returns 0: ours; 1: none now; 2: no longer active; 3: sold out, as it seems.
try_seats() {
    left=''
    active=yes
    sold=0
    for seat in $seats; do
        if [ "$active" = no ]; then
            left="$left $seat"
            continue
        fi
        answer=$(call -X POST -H "$post_json" -d "{\"userId\":$user,\"seatId\":$seat}" \
            "$base/api/v1/reservations/reserve")
        case $answer in
        *SUCCESS*) return 0 ;;
        *'"FAIL: 이미 판매가 완료된 좌석입니다."'*)
            sold=$((sold + 1))
            [ "$sold" -lt "$patience" ] || return 3
            continue
            ;;
        *'"FAIL: 현재 다른 사용자가 결제 진행 중입니다."'* | *'"FAIL: 현재 접속자가 많아'*) sold=0 ;;
        *'"FAIL: 결제가 실패하여'*)
            declined=$((declined + 1))
            active=no
            ;;
        *'"대기열 진입이 필요합니다.'*)
            early=$((early + 1))
            active=no
            ;;
        *)
            errors=$((errors + 1))
            active=no
            ;;
        esac
        left="$left $seat"
    done
    [ "$active" = yes ] || return 2
    return 1
}

# One client. Prints: success or without, failed payments, 403s, errors.
client() {
    declined=0
    early=0
    errors=0
    outcome=without
    seats=$(seq 1 "$seat_count" | shuf)
    if become_active; then
        while :; do
            try_seats
            case $? in
            0)
                outcome=success
                break
                ;;
            2) become_active || break ;;
            3) break ;;
            1)
                [ -n "$left" ] || break
                sleep "$poll"
                ;;
            esac
            seats=$left
        done
        [ "$outcome" = success ] || call -X DELETE "$base/api/v1/queue?userId=$user" >/dev/null
    fi
    echo "$outcome $declined $early $errors"
}

if [ "${1:-}" = --one ]; then
    base=$2 seat_count=$3 poll=$4 patience=$5 user=$6
    client
    exit 0
fi

base=${1:-http://127.0.0.1:8080}
users=${2:-1000}
parallel=${3:-100}
seat_count=${4:-100}
poll=${5:-1}
first=${6:-1}
patience=${7:-20}

seq "$first" $((first + users - 1)) |
    xargs -P "$parallel" -n 1 "$0" --one "$base" "$seat_count" "$poll" "$patience" |
    awk '{ outcome[$1]++; declined += $2; early += $3; errors += $4 }
        END {
            printf "users %d success %d without %d declined %d early %d errors %d\n",
                NR, outcome["success"], outcome["without"], declined, early, errors
            exit errors > 0
        }'
