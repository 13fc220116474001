-- Ends a snapshot, if it is still there. KEYS as of take_snapshot.lua; argument: whose it should be.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
end
return 1
