-- Applies one transaction, all of it or nothing. Everything that can be refused is refused before the first write.
--
-- Arguments: the channels to tell of it, the second one only if it stamps a key; the commit's number in its slot, for how
-- many seconds an unused slot is kept;
-- the evidence; then, each list with its length before it: ranges to clear (two ends), keys to delete, pairs to put,
-- updates (key, how many, then kind and operand each), and pairs whose key is completed with a stamp.
-- KEYS beside those of every script: 5 whose snapshot there is, if any; 6 the keys that have changed since it was taken,
-- in order; 7 a hash of what stood there, `` for nothing.
-- Answer: `done`, `moved`, `slot`, or `damaged` or `limit` with the key and the bytes of its value.

local slot = KEYS[4]
local channel, stamped_channel, slot_number, slot_seconds = text(), text(), text(), text()
local slot_before, snapshot = unpack(redis.call('MGET', slot, KEYS[5]))
if not slot_before or string.sub(slot_before, 1, 1) == 'c' then
  return { 'slot' }
end
if not evidence_holds() then
  return { 'moved' }
end

local WORD = 4294967296

-- Numbers here are doubles, which hold 53 bits: so 64-bit numbers are taken in halves.
local update = {}
function update.add(base, amount)
  local base_low, base_high = struct.unpack('<I4I4', base)
  local low, high = struct.unpack('<I4I4', amount)
  low, high = low + base_low, high + base_high
  if low >= WORD then
    low, high = low - WORD, high + 1
  end
  return struct.pack('<I4I4', low, high % WORD)
end
function update.max(base, other)
  local base_low, base_high = struct.unpack('<I4I4', base)
  local low, high = struct.unpack('<I4I4', other)
  if high > base_high or (high == base_high and low > base_low) then
    return other
  end
  return base
end

local cleared, deleted, put = {}, {}, {}
for i = 1, number() do
  cleared[i] = { text(), text() }
end
for i = 1, number() do
  deleted[i] = text()
end
for i = 1, number() do
  put[i] = { text(), text() }
end

local value_bytes_max = number()
local updated, operations = {}, {}
for i = 1, number() do
  updated[i] = text()
  operations[i] = {}
  for j = 1, number() do
    operations[i][j] = { text(), text() }
  end
end
for i, found in ipairs(stored(updated)) do
  local value = found and string.sub(found, 9)
  for _, operation in ipairs(operations[i]) do
    local kind, operand = operation[1], operation[2]
    if kind == 'append' then
      value = (value or '') .. operand
      if #value > value_bytes_max then
        return { 'limit', updated[i], #value }
      end
    else
      value = value or string.rep('\0', 8)
      if #value ~= 8 then
        return { 'damaged', updated[i], #value }
      end
      value = update[kind](value, operand)
    end
  end
  put[#put + 1] = { updated[i], value }
end

local this_commit = last_commit + 1
local stamp = struct.pack('>I8', this_commit)
local stamped = number()
for _ = 1, stamped do
  put[#put + 1] = { text() .. stamp .. '\0\0', text() }
end

-- Heard by others when all of this is done, and refused, if at all, before anything is.
redis.call('PUBLISH', channel, this_commit)
if stamped > 0 then
  redis.call('PUBLISH', stamped_channel, this_commit)
end
redis.call('SET', commits, string.format('%.0f', this_commit))
redis.call('SET', slot, slot_number, 'EX', slot_seconds)
local function keep(keys)
  if not snapshot then
    return
  end
  for i, before in ipairs(stored(keys)) do
    if redis.call('HSETNX', KEYS[7], keys[i], before or '') == 1 then
      redis.call('ZADD', KEYS[6], 0, keys[i])
    end
  end
  -- Longer than the snapshot lives without being read, so that nothing is left of one that was given up.
  redis.call('EXPIRE', KEYS[6], 3600)
  redis.call('EXPIRE', KEYS[7], 3600)
end
local function delete(keys)
  keep(keys)
  in_parts(keys, function(...)
    redis.call('HDEL', values, ...)
    redis.call('ZREM', order, ...)
  end)
end
for _, range in ipairs(cleared) do
  delete(redis.call('ZRANGEBYLEX', order, range[1], range[2]))
end
delete(deleted)
local put_keys = {}
for i, pair in ipairs(put) do
  put_keys[i] = pair[1]
end
keep(put_keys)
for _, pair in ipairs(put) do
  redis.call('HSET', values, pair[1], stamp .. pair[2])
  redis.call('ZADD', order, 0, pair[1])
end
return { 'done' }
