-- Health of Leaderboards and LeaderboardClasses for Argo CD, by their conditions Ready and
-- Stalled. How to install it: docs/gitops.md.
local health = { status = "Progressing", message = "Waiting for the operator" }

if obj.metadata.deletionTimestamp ~= nil then
  health.message = "Being deleted"
end
if obj.status == nil or obj.status.conditions == nil then
  return health
end

local ready, stalled
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Ready" then
    ready = condition
  elseif condition.type == "Stalled" and condition.status == "True" then
    stalled = condition
  end
end

if stalled ~= nil then
  health.status = "Degraded"
  health.message = stalled.message
elseif obj.metadata.deletionTimestamp ~= nil or ready == nil then
  return health
elseif ready.reason == "Suspended" then
  health.status = "Suspended"
  health.message = ready.message
elseif obj.status.observedGeneration == obj.metadata.generation then
  if ready.status == "True" then
    health.status = "Healthy"
  end
  health.message = ready.message
end
return health
