-- One step of one gateway: settle what it owes, then reserve what a call needs, all or nothing.
-- Time is the server's, so the gateways' clocks do not matter. Keys are made from KEYS[1], a prefix with a hash tag.
-- A window is a hash of slice number -> amount, a pool a hash of gateway -> slots it holds.
-- ARGV and the answer are one MessagePack value each, which clients read faster than nested replies.
-- ARGV: {gateway, ttl, settlements, pools, reservations, slots}; a pool is {name, 1 to set or 0 to add, slots}.
local prefix = KEYS[1]
local message = cmsgpack.unpack(ARGV[1])
local gateway, ttl, settlements, pools, reservations, slots = unpack(message)
local SLICES = 60
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local gateways = prefix .. 'gateways'

local function slice_of(seconds)
  return math.floor(now * SLICES / seconds)
end

local function book(key, seconds, amount)
  redis.call('HINCRBY', key, slice_of(seconds), amount)
  redis.call('EXPIRE', key, math.ceil(seconds * (SLICES + 1) / SLICES) + 1)
end

-- The slices that still count, oldest first; others are dropped.
local function read(key, seconds)
  local oldest = slice_of(seconds) - SLICES
  local flat = redis.call('HGETALL', key)
  local slices, total = {}, 0
  for i = 1, #flat, 2 do
    local number, amount = tonumber(flat[i]), tonumber(flat[i + 1])
    if number < oldest then
      redis.call('HDEL', key, flat[i])
    elseif amount > 0 then
      slices[#slices + 1] = {number, amount}
      total = total + amount
    end
  end
  table.sort(slices, function(a, b) return a[1] < b[1] end)
  return total, slices
end

local function ends(number, seconds)
  return math.max(math.ceil(((number + SLICES + 1) * seconds / SLICES - now) * 1000), 0)
end

-- Milliseconds until `need` of it no longer counts.
local function wait(slices, seconds, need)
  local freed = 0
  for _, slice in ipairs(slices) do
    freed = freed + slice[2]
    if freed >= need then
      return ends(slice[1], seconds)
    end
  end
  return seconds * 1000
end

redis.call('ZADD', gateways, now, gateway)
redis.call('ZREMRANGEBYSCORE', gateways, '-inf', now - 10 * ttl)
redis.call('EXPIRE', gateways, math.ceil(20 * ttl))

for _, entry in ipairs(settlements) do
  local key, seconds, slice, amount = prefix .. entry[1], entry[2], entry[3], entry[4]
  if amount > 0 then
    book(key, seconds, amount)
  else
    local booked = tonumber(redis.call('HGET', key, slice) or 0)
    if booked > 0 then
      redis.call('HINCRBY', key, slice, -math.min(booked, -amount))
    end
  end
end

for _, entry in ipairs(pools) do
  local key = prefix .. entry[1]
  local held = entry[3]
  if entry[2] == 0 then
    held = held + tonumber(redis.call('HGET', key, gateway) or 0)
  end
  if held > 0 then
    redis.call('HSET', key, gateway, held)
    redis.call('EXPIRE', key, math.ceil(20 * ttl))
  else
    redis.call('HDEL', key, gateway)
  end
end

local alive = redis.call('ZCOUNT', gateways, now - ttl, '+inf')

for index, slot in ipairs(slots) do
  local held, flat = 0, redis.call('HGETALL', prefix .. slot[1])
  for i = 1, #flat, 2 do
    local seen = tonumber(redis.call('ZSCORE', gateways, flat[i]) or 0)
    if seen > now - ttl then
      held = held + tonumber(flat[i + 1])
    else
      redis.call('HDEL', prefix .. slot[1], flat[i])
    end
  end
  if held >= slot[2] then
    return cmsgpack.pack({0, alive, index - 1, held})
  end
end

local answer, fits, all = {}, true, {}
for index, reservation in ipairs(reservations) do
  local total, slices = read(prefix .. reservation[1], reservation[3])
  all[index] = {total, slices}
  if total + reservation[4] > reservation[2] then
    fits = false
  end
end
for index, reservation in ipairs(reservations) do
  local total, slices, seconds = all[index][1], all[index][2], reservation[3]
  if fits then
    book(prefix .. reservation[1], seconds, reservation[4])
    local reset = reservation[4] > 0 and ends(slice_of(seconds), seconds) or (#slices > 0 and ends(slices[#slices][1], seconds) or 0)
    answer[index] = {total + reservation[4], 0, reset, slice_of(seconds)}
  else
    local over = total + reservation[4] - reservation[2]
    local reset = #slices > 0 and ends(slices[#slices][1], seconds) or 0
    answer[index] = {total, over > 0 and wait(slices, seconds, over) or 0, reset, -1}
  end
end
if fits then
  for _, slot in ipairs(slots) do
    redis.call('HINCRBY', prefix .. slot[1], gateway, 1)
    redis.call('EXPIRE', prefix .. slot[1], math.ceil(20 * ttl))
  end
end
return cmsgpack.pack({fits and 1 or 0, alive, -1, answer})
