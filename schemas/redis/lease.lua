-- A shard's lease: who should serve it. For liveness only; safety is the database's epoch.
-- KEYS: lease:{shard}   ARGV: take | release, instance name, ttl in ms
-- Returns 1 if the lease is the instance's (after a release: nobody's), 0 if it is another's.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[2] then
    return 0
end
if ARGV[1] == 'release' then
    redis.call('DEL', KEYS[1])
else
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
