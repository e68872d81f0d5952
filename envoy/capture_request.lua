
-- Capture of the request, behind the script above and on the leg of a copy only: nothing here can hold up the original.
--
-- The filter context's `request` (bool) switches it on. More keys:
--   rh  base64 of the request's headers, without ours and Envoy's own, at most 16 KiB
--   rb  base64 of the first head_bytes of its body    rn  size of its body; both absent when there is none
local OWN_HEADERS = { "x-shadowmesh-", "x-envoy-" }

local function is_own(name)
  for _, prefix in ipairs(OWN_HEADERS) do
    if name:sub(1, #prefix) == prefix then
      return true
    end
  end
  return false
end

local function request_block(headers)
  local lines, length = {}, 0
  for name, value in pairs(headers) do
    if (name:byte(1) ~= 58 or name == ":authority") and not is_own(name) then
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

local note_credentials = envoy_on_request

function envoy_on_request(handle)
  note_credentials(handle)
  local context = handle:filterContext()
  if not context:get("request") then
    return
  end
  local wanted = context:get("head_bytes") or 0
  note(handle, "rh", handle:base64Escape(request_block(handle:headers())))

  local head, kept, size = {}, 0, 0
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    local from = math.min(length, wanted - kept)
    if from > 0 then
      head[#head + 1] = chunk:getBytes(0, from)
      kept = kept + from
    end
    size = size + length
  end
  if size > 0 then
    note(handle, "rb", handle:base64Escape(table.concat(head)))
    note(handle, "rn", size)
  end
end
