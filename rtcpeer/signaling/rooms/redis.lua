-- Rooms in Redis: every operation of `RedisBackend`, as one script, so that each is done at once and in one order for
-- all nodes. The same steps in Python are in rooms.py.
--
-- KEYS[1] is the prefix of all keys (with a hash tag, so that a cluster keeps them together):
--   generation             drawn by the first node; another one: the memory was lost, nodes register their members again
--   clock, beat            seconds that nodes were beating, and when one last did: time in which Redis or all nodes stood
--                          still does not count for anybody's grace
--   rooms                  set of room names
--   room:<name>            hash: member id -> what the others see of it
--   member:<id>            hash: room, attach, node, kick, received, seq, bytes, acked, public
--   inbox:<id>             stream of the frames that the member has not acknowledged, under <seq>-0
--   node:<name>            stream of what is for the members of a node
--   of:<name>              set of the members whose sockets are at a node
--   nodes                  sorted set: node -> when it is given up, on the clock
--   away                   sorted set: member -> when it is removed, on the clock
local P = KEYS[1]
local op, generation, node = ARGV[1], ARGV[2], ARGV[3]
local GRACE, BACKLOG, EVENTS, UNTIL = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local OVERHEAD, INLINE, NODE_LENGTH = 100, 8192, 20000
local RESTART, SLOW, SUPERSEDED, KICKED = '1012', '1013', '4001', '4003'
local function arg(n) return ARGV[7 + n] end

local function real_time()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end
local function clock() return tonumber(redis.call('GET', P .. 'clock') or '0') end
local function member(id) return P .. 'member:' .. id end
local function get(id, ...) return redis.call('HMGET', member(id), ...) end

local function detach(id, code, reason)
  local at = get(id, 'attach', 'node')
  if at[1] and at[1] ~= '' then
    redis.call('XADD', P .. 'node:' .. at[2], 'MAXLEN', '~', NODE_LENGTH, '*',
      'k', 'detach', 'm', id, 'a', at[1], 'c', code, 'r', reason)
  end
end

-- keep a frame for a member; its number (0: there is no such member) and the node of its socket, or false: too much waits
local function keep(id, text, bound)
  local m = get(id, 'seq', 'bytes', 'acked', 'attach', 'node')
  if not m[1] then return 0 end
  local size = #text + OVERHEAD
  if tonumber(m[2]) - tonumber(m[3]) + size > bound then return false end
  local seq, bytes = m[1] + 1, m[2] + size
  redis.call('HSET', member(id), 'seq', seq, 'bytes', bytes)
  redis.call('XADD', P .. 'inbox:' .. id, seq .. '-0', 'f', text, 'b', bytes)
  return seq, m[4] ~= '' and m[5] or nil
end

-- hand a frame to a node, once for all of its members: "id seq id seq ..."
local function hand(to, members, text)
  redis.call('XADD', P .. 'node:' .. to, 'MAXLEN', '~', NODE_LENGTH, '*',
    'k', 'frame', 'm', table.concat(members, ' '), 'f', #text <= INLINE and text or '')
end

-- a frame for one member; false: too much waits for it
local function push(id, text, bound)
  local seq, to = keep(id, text, bound)
  if to then hand(to, {id, seq}, text) end
  return seq ~= false
end

-- a frame for all members of a room but one; gives those for whom too much waits
local function push_others(room, id, text, bound)
  local slow, nodes = {}, {}
  for _, other in ipairs(redis.call('HKEYS', P .. 'room:' .. room)) do
    if other ~= id then
      local seq, to = keep(other, text, bound)
      if seq == false then
        slow[#slow + 1] = other
      elseif to then
        nodes[to] = nodes[to] or {}
        table.insert(nodes[to], other)
        table.insert(nodes[to], seq)
      end
    end
  end
  for to, members in pairs(nodes) do hand(to, members, text) end
  return slow
end

local remove

-- an event cannot be refused: who has far too much waiting is removed
local function event_to_others(room, id, text)
  for _, other in ipairs(push_others(room, id, text, BACKLOG + EVENTS)) do
    detach(other, SLOW, 'too much waits for this client')
    remove(other, 'backlog')
  end
end

remove = function(id, reason)
  local m = get(id, 'room', 'node')
  if not m[1] then return end
  local room = P .. 'room:' .. m[1]
  redis.call('HDEL', room, id)
  redis.call('DEL', member(id), P .. 'inbox:' .. id)
  redis.call('ZREM', P .. 'away', id)
  if m[2] ~= '' then redis.call('SREM', P .. 'of:' .. m[2], id) end
  if redis.call('HLEN', room) == 0 then
    redis.call('SREM', P .. 'rooms', m[1])
  else
    event_to_others(m[1], id, '{"type":"left","id":"' .. id .. '","reason":"' .. reason .. '"}')
  end
end

local function set_public(id, room, public)
  redis.call('HSET', member(id), 'public', public)
  redis.call('HSET', P .. 'room:' .. room, id, public)
end

local function set_away(id, until_)
  local m = get(id, 'room', 'node', 'public')
  if not m[1] then return end
  if m[2] ~= '' then redis.call('SREM', P .. 'of:' .. m[2], id) end
  redis.call('HSET', member(id), 'attach', '', 'node', '')
  redis.call('ZADD', P .. 'away', until_, id)
  set_public(id, m[1], (string.gsub(m[3], 'false}$', 'true}')))
  event_to_others(m[1], id, '{"type":"away","id":"' .. id .. '"}')
end

-- it takes no more messages: its socket is closed as slow
local function close_slow(id)
  if get(id, 'attach')[1] ~= '' then
    detach(id, SLOW, 'too much waits for this client')
    set_away(id, clock() + GRACE)
  end
end

local function message(id, text)
  if push(id, text, BACKLOG) then return true end
  close_slow(id)
  return false
end

local function others(room, id)
  local found, all = {}, redis.call('HGETALL', P .. 'room:' .. room)
  for i = 1, #all, 2 do
    if all[i] ~= id then found[#found + 1] = all[i + 1] end
  end
  return found
end

local function add(id, room, public, attach, kick, received, seq)
  redis.call('HSET', member(id), 'room', room, 'attach', attach, 'node', node, 'kick', kick,
    'received', received, 'seq', seq, 'bytes', 0, 'acked', 0, 'public', public)
  redis.call('SADD', P .. 'rooms', room)
  redis.call('SADD', P .. 'of:' .. node, id)
  redis.call('HSET', P .. 'room:' .. room, id, public)
  event_to_others(room, id, '{"type":"joined","member":' .. public .. '}')
end

local function acknowledge(id, seq)
  local found = redis.call('XRANGE', P .. 'inbox:' .. id, seq .. '-0', seq .. '-0')
  if found[1] then
    redis.call('HSET', member(id), 'acked', found[1][2][4])
    redis.call('XTRIM', P .. 'inbox:' .. id, 'MINID', (seq + 1) .. '-0')
  end
end

local ops = {}

function ops.enter()
  local id, room, mode, public, attach, kick = arg(1), arg(2), arg(3), arg(4), arg(5), arg(6)
  local there = redis.call('HLEN', P .. 'room:' .. room)
  if get(id, 'attach')[1] ~= attach then
    if there == 0 and mode == 'join' then return {'not-found'} end
    if there > 0 and mode == 'open' then return {'exists'} end
    if there == 0 and redis.call('SCARD', P .. 'rooms') >= tonumber(arg(7)) then return {'full', 'rooms'} end
    if there >= tonumber(arg(8)) then return {'full', 'room'} end
    add(id, room, public, attach, kick, 0, 0)
  end
  return {'ok', there == 0 and '1' or '0', others(room, id)}
end

function ops.resume()
  local id, room, attach, received = arg(1), arg(2), arg(3), tonumber(arg(4))
  local m = get(id, 'room', 'attach', 'seq', 'received', 'public', 'node')
  if m[1] ~= room or received > tonumber(m[3]) then return {'gone'} end
  local first = redis.call('XRANGE', P .. 'inbox:' .. id, '-', '+', 'COUNT', 1)[1]
  local oldest = first and tonumber(string.match(first[1], '^%d+')) or m[3] + 1
  if received + 1 < oldest then return {'gone'} end
  if m[2] ~= '' and m[2] ~= attach then
    detach(id, SUPERSEDED, 'another socket resumed this member')
    redis.call('SREM', P .. 'of:' .. m[6], id)
  end
  acknowledge(id, received)
  redis.call('HSET', member(id), 'attach', attach, 'node', node)
  redis.call('SADD', P .. 'of:' .. node, id)
  if redis.call('ZREM', P .. 'away', id) == 1 then
    set_public(id, room, (string.gsub(m[5], 'true}$', 'false}')))
    event_to_others(room, id, '{"type":"back","id":"' .. id .. '"}')
  end
  local missed = {}
  for _, entry in ipairs(redis.call('XRANGE', P .. 'inbox:' .. id, (received + 1) .. '-0', '+')) do
    missed[#missed + 1] = string.match(entry[1], '^%d+')
    missed[#missed + 1] = entry[2][2]
  end
  local now = get(id, 'public', 'kick')
  return {'ok', others(room, id), m[4], missed, now[1], now[2]}
end

function ops.submit()
  local id, attach, seq, kind, to, text = arg(1), arg(2), tonumber(arg(3)), arg(5), arg(6), arg(7)
  local m = get(id, 'attach', 'received', 'room', 'kick')
  if m[1] ~= attach then return {m[1] and m[1] ~= '' and 'superseded' or 'detached'} end
  -- the node knows of a frame that was done when the memory was lost
  local received = math.max(tonumber(m[2]), tonumber(arg(4)))
  if seq <= received then return {'ok'} end
  if seq > received + 1 then return {'bad-frame', tostring(received)} end
  redis.call('HSET', member(id), 'received', seq)
  local function lost(whom, code)
    push(id, '{"type":"lost","number":' .. seq .. ',"to":' .. cjson.encode(whom) .. ',"code":"' .. code .. '"}',
      BACKLOG + EVENTS)
  end
  if kind == 'broadcast' then
    for _, other in ipairs(push_others(m[3], id, text, BACKLOG)) do
      close_slow(other)
      lost(other, 'backlog')
    end
  elseif kind == 'metadata' then
    set_public(id, m[3], arg(8))
    event_to_others(m[3], id, text)
  elseif to == id or redis.call('HEXISTS', P .. 'room:' .. m[3], to) == 0 then
    lost(to, 'no-member')
  elseif kind ~= 'kick' then
    if not message(to, text) then lost(to, 'backlog') end
  elseif m[4] ~= '1' then
    lost(to, 'forbidden')
  else
    detach(to, KICKED, arg(9))
    remove(to, 'kicked')
  end
  return {'ok'}
end

-- of many members at once: id, attach, seq, ...
function ops.acknowledge()
  for n = 1, #ARGV - 7, 3 do
    local m = get(arg(n), 'attach', 'seq')
    if m[1] == arg(n + 1) and tonumber(arg(n + 2)) <= tonumber(m[2]) then
      acknowledge(arg(n), tonumber(arg(n + 2)))
    end
  end
  return {'ok'}
end

function ops.lose()
  if get(arg(1), 'attach')[1] == arg(2) then set_away(arg(1), clock() + GRACE) end
  return {'ok'}
end

function ops.leave()
  if get(arg(1), 'attach')[1] == arg(2) then remove(arg(1), 'left') end
  return {'ok'}
end

function ops.kick()
  if get(arg(1), 'room')[1] ~= arg(2) then return {'ok', '0'} end
  detach(arg(1), KICKED, arg(3))
  remove(arg(1), 'kicked')
  return {'ok', '1'}
end

function ops.presence()
  return {'ok', tostring(redis.call('HLEN', P .. 'room:' .. arg(1)))}
end

function ops.others()
  return {'ok', others(arg(1), arg(2))}
end

-- frames of a member after a number; and, if the socket that asks is no longer the member's, how to close it
function ops.missed()
  local missed, at = {}, get(arg(1), 'attach')[1]
  for _, entry in ipairs(redis.call('XRANGE', P .. 'inbox:' .. arg(1), (arg(2) + 1) .. '-0', '+')) do
    missed[#missed + 1] = string.match(entry[1], '^%d+')
    missed[#missed + 1] = entry[2][2]
  end
  return {'ok', missed, at == arg(3) and '' or at and at ~= '' and SUPERSEDED or RESTART}
end

-- the members at this node, with their sockets
function ops.mine()
  local found = {}
  for _, id in ipairs(redis.call('SMEMBERS', P .. 'of:' .. node)) do
    found[#found + 1] = id
    found[#found + 1] = get(id, 'attach')[1] or ''
  end
  return {'ok', found}
end

-- after the memory was lost: a member that a node still has, with the numbers that it has reached
function ops.register()
  if redis.call('EXISTS', member(arg(1))) == 0 then
    add(arg(1), arg(2), arg(3), arg(4), arg(5), tonumber(arg(6)), tonumber(arg(7)))
  end
  return {'ok'}
end

local function give_up(name, until_)
  for _, id in ipairs(redis.call('SMEMBERS', P .. 'of:' .. name)) do set_away(id, until_) end
  redis.call('DEL', P .. 'of:' .. name, P .. 'node:' .. name)
  redis.call('ZREM', P .. 'nodes', name)
end

-- a node lives: the clock goes on, who is overdue is swept; tells the generation and whether the node was given up
function ops.beat()
  local drawn, ttl = arg(1), tonumber(arg(2))
  redis.call('SET', P .. 'generation', drawn, 'NX')
  local real = real_time()
  local before = tonumber(redis.call('GET', P .. 'beat') or real)
  local now = clock() + math.max(0, math.min(real - before, 1))
  redis.call('SET', P .. 'beat', string.format('%.6f', real))
  redis.call('SET', P .. 'clock', string.format('%.6f', now))
  local known = redis.call('ZSCORE', P .. 'nodes', node) and '1' or '0'
  redis.call('ZADD', P .. 'nodes', now + ttl, node)
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'nodes', '-inf', now)) do
    give_up(name, redis.call('ZSCORE', P .. 'nodes', name) - ttl + GRACE)
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'away', '-inf', now)) do remove(id, 'expired') end
  return {'ok', redis.call('GET', P .. 'generation'), known, tostring(redis.call('SCARD', P .. 'of:' .. node)),
    string.format('%.6f', real)}
end

function ops.bye()
  give_up(node, clock() + GRACE)
  return {'ok'}
end

if op ~= 'beat' then
  if redis.call('GET', P .. 'generation') ~= generation then return {'forgotten'} end
  -- whoever asked has given the answer up, and may have asked for something else since
  if real_time() > UNTIL then return {'late'} end
end
return ops[op]()
