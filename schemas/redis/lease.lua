-- A shard's lease: who should serve it. For liveness only; safety is the database's epoch.
-- KEYS: lease:{shard}, beside it lease:{shard}:wish   ARGV: own | take | look | release, instance name, ttl in ms
--   own      take or renew it; while another has it, wish for it: this instance is meant to serve the shard
--   take     take or renew it
--   look     change nothing, unless it is the instance's already: then renew it
--   release  let it go, to who wishes for it; nothing if it is another's
-- Returns HELD; WANTED: held, but wished for; OTHER and for how many ms more; FREE: it was released;
-- NOBODY: it ran out, or this Redis lost it.
local call, name, ttl = ARGV[1], ARGV[2], ARGV[3]
local wish_key = KEYS[1] .. ':wish'
local holder, wish = redis.call('GET', KEYS[1]), redis.call('GET', wish_key)
if call == 'release' then
    if holder == name then
        redis.call('SET', KEYS[1], wish or '-', 'PX', ttl)
        redis.call('DEL', wish_key)
    end
    return 'FREE'
end
if holder and holder ~= name and holder ~= '-' then
    if call == 'own' then
        redis.pcall('SET', wish_key, name, 'PX', ttl) -- without memory for it, it is wished for later
    end
    local left = redis.call('PTTL', KEYS[1])
    if left < 0 then
        left = ttl -- it has no end
    elseif left == 0 then
        left = 1 -- in its last millisecond
    end
    return 'OTHER ' .. left
end
if call == 'look' and holder ~= name then
    return holder and 'FREE' or 'NOBODY'
end
redis.call('SET', KEYS[1], name, 'PX', ttl)
if not wish then
    return 'HELD'
end
if wish ~= name then
    return 'WANTED'
end
redis.call('DEL', wish_key)
return 'HELD'
