-- Capture: puts what an answer looked like on the wire into dynamic metadata, which the access log carries.
--
-- Runs only on routes that switch it on. Nothing is held back: each chunk is looked at as it passes.
-- The filter context of the route gives head_bytes (number) and checksum (bool).
-- Keys, in namespace shadowmesh.capture:
--   h  base64 of the headers as "name: value\n" lines, at most 16 KiB    b  base64 of the first head_bytes of the body
--   n  size of the body in bytes                                         c  checksum of what lies beyond the head
--   t  true while the end of the body has not been seen                  k  true if the request carried credentials
-- On a route of a split the context names a user_header or user_cookie instead, and how many numbers stand for users:
--   u  the user's number, by a hash of that key
local bit = require("bit")
local ffi = require("ffi")

local NAMESPACE = "shadowmesh.capture"
local HEADERS_LIMIT = 16384
local CHECKSUM_LIMIT = 1048576
local CREDENTIALS = { "authorization", "cookie", "proxy-authorization" }
local words_type = ffi.typeof("const uint32_t *")

local band, bxor, lshift, rshift, tobit = bit.band, bit.bxor, bit.lshift, bit.rshift, bit.tobit

-- One-at-a-time hash of Jenkins, over 32-bit words instead of bytes.
local function mix(hash, word)
  hash = tobit(hash + word)
  hash = tobit(hash + lshift(hash, 10))
  return bxor(hash, rshift(hash, 6))
end

-- Adds bytes to the checksum. A word may straddle two chunks: carry holds the 0 to 3 bytes left over.
local function add(hash, carry, bytes)
  if #carry > 0 then
    bytes = carry .. bytes
  end
  local count = rshift(#bytes, 2)
  local words = ffi.cast(words_type, bytes)
  for i = 0, count - 1 do
    hash = mix(hash, words[i])
  end
  return hash, bytes:sub(count * 4 + 1)
end

local function finish(hash, carry, size)
  if #carry > 0 then
    hash = add(hash, "", carry .. ("\0"):rep(4 - #carry))
  end
  hash = mix(hash, size)
  hash = tobit(hash + lshift(hash, 3))
  hash = bxor(hash, rshift(hash, 11))
  return band(tobit(hash + lshift(hash, 15)), 0xffffffff) % 4294967296
end

local function header_block(headers)
  local lines, length = {}, 0
  for name, value in pairs(headers) do
    if name:byte(1) ~= 58 or name == ":status" then
      local line = name .. ": " .. value .. "\n"
      length = length + #line
      if length > HEADERS_LIMIT then
        break
      end
      lines[#lines + 1] = line
    end
  end
  return table.concat(lines)
end

-- Objects taken from a handle die at each chunk, so the metadata is looked up anew.
local function note(handle, key, value)
  handle:streamInfo():dynamicMetadata():set(NAMESPACE, key, value)
end

local function cookie_of(headers, wanted)
  for part in (headers:get("cookie") or ""):gmatch("[^;]+") do
    local name, value = part:match("^%s*(.-)%s*=%s*(.-)%s*$")
    if name == wanted then
      return value
    end
  end
end

local function note_user(handle, header, cookie, users)
  local key = header and handle:headers():get(header) or cookie and cookie_of(handle:headers(), cookie)
  if key and key ~= "" then
    local hash, carry = add(0, "", key)
    note(handle, "u", finish(hash, carry, #key) % users)
  end
end

function envoy_on_request(handle)
  local context = handle:filterContext()
  local users = context:get("users")
  if users then
    return note_user(handle, context:get("user_header"), context:get("user_cookie"), users)
  end
  local headers = handle:headers()
  for _, name in ipairs(CREDENTIALS) do
    if headers:get(name) then
      note(handle, "k", true)
      return
    end
  end
end

function envoy_on_response(handle)
  local context = handle:filterContext()
  if context:get("users") then
    return
  end
  local wanted = context:get("head_bytes") or 0
  local headers = handle:headers()
  local encoding = headers:get("content-encoding")
  local checking = context:get("checksum") and (encoding == nil or encoding == "identity")
  note(handle, "h", handle:base64Escape(header_block(headers)))
  note(handle, "t", true)

  local head, kept, size = {}, 0, 0
  local hash, carry = 0, ""
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    local from = 0
    if kept < wanted and length > 0 then
      from = math.min(length, wanted - kept)
      head[#head + 1] = chunk:getBytes(0, from)
      kept = kept + from
      if kept == wanted then
        note(handle, "b", handle:base64Escape(table.concat(head)))
      end
    end
    size = size + length
    if checking and from < length then
      if size > CHECKSUM_LIMIT then
        checking = false
      else
        hash, carry = add(hash, carry, chunk:getBytes(from, length - from))
      end
    end
  end

  if kept < wanted or wanted == 0 then
    note(handle, "b", handle:base64Escape(table.concat(head)))
  end
  if checking and size > kept then
    note(handle, "c", finish(hash, carry, size))
  end
  note(handle, "n", size)
  note(handle, "t", false)
end
