-- Show changes of one shard, in order, under its fence.
-- KEYS: fence:{shard}
-- ARGV: epoch, then for each change seven words: what, performance, id, number, version, state, ttl in ms
--   fence    raise the fence to the epoch; version: things shown before
--   check    version: things shown so far
--   seat     id: seat; state: SELECTED | CONFIRMED | '' (nothing to show); ttl 0: none; version: things shown so far
--   waiting  id: user; number: ticket; state: 1 enters, 0 leaves
--   active   id: user; number: unix time of the expiry in ms; state: 1 begins, 0 ends
-- Returns OK; LOST if our fence is not there or shows an older change than it must; FENCED if a newer epoch's is there.
-- Checks come first and writes last: an error in the middle would keep what was written before it.
local fence = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
local known_epoch = tonumber(fence[1] or -1)
local known_seq = tonumber(fence[2] or -1)
local epoch = tonumber(ARGV[1])
if known_epoch > epoch then
    return 'FENCED'
end
if ARGV[2] ~= 'fence' then
    if known_epoch ~= epoch then
        return 'LOST'
    end
    if ARGV[2] == 'check' and known_seq < tonumber(ARGV[6]) then
        return 'LOST'
    end
end

local function prefix(performance)
    if performance == '1' then
        return ''
    end
    return 'p' .. performance .. ':'
end

-- What the waiting room showed before, forgotten without KEYS: the performances that it ever showed are a set.
local shown = KEYS[1] .. ':shown'
local function forget()
    for _, performance in ipairs(redis.call('SMEMBERS', shown)) do
        local p = prefix(performance)
        for _, user in ipairs(redis.call('ZRANGE', p .. 'ticket:active', 0, -1)) do
            redis.call('UNLINK', p .. 'ticket:active:users:' .. user)
        end
        redis.call('UNLINK', p .. 'ticket:active', p .. 'ticket:waiting:queue')
    end
    redis.call('DEL', shown)
end

local show = {}

function show.fence(performance, id, number, version, state, ttl)
    forget()
    redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', version)
    known_seq = tonumber(version)
end

function show.check(performance, id, number, version, state, ttl)
end

function show.seat(performance, id, number, version, state, ttl)
    local key = prefix(performance) .. 'state:seat:' .. id
    if state == '' then
        redis.call('DEL', key)
    elseif ttl == '0' then
        redis.call('SET', key, state)
    else
        redis.call('SET', key, state, 'PX', ttl)
    end
end

function show.waiting(performance, id, number, version, state, ttl)
    local queue = prefix(performance) .. 'ticket:waiting:queue'
    if state == '1' then
        redis.call('SADD', shown, performance)
        redis.call('ZADD', queue, number, id)
    else
        redis.call('ZREM', queue, id)
    end
end

function show.active(performance, id, number, version, state, ttl)
    local p = prefix(performance)
    if state == '1' then
        redis.call('SADD', shown, performance)
        redis.call('ZREM', p .. 'ticket:waiting:queue', id)
        redis.call('ZADD', p .. 'ticket:active', number, id)
        redis.call('SET', p .. 'ticket:active:users:' .. id, 'activated', 'PX', ttl)
    else
        redis.call('ZREM', p .. 'ticket:active', id)
        redis.call('DEL', p .. 'ticket:active:users:' .. id)
    end
end

for i = 2, #ARGV, 7 do
    show[ARGV[i]](ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6])
    if tonumber(ARGV[i + 4]) > known_seq then
        known_seq = tonumber(ARGV[i + 4])
        redis.call('HSET', KEYS[1], 'seq', ARGV[i + 4])
    end
end
return 'OK'
