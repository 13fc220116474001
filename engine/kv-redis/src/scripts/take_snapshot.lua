-- Begins a snapshot: from now on commits keep what they overwrite. Answer: 1, or 0 if there is another one.
-- KEYS: 1 whose snapshot there is; 2 and 3 what stood there before, see commit.lua.
-- Arguments: the number of the one who takes it, for how many seconds it lives unless it is read.

if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then
  return 0
end
redis.call('UNLINK', KEYS[2], KEYS[3])
return 1
