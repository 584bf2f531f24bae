#include "iserv/broker/growth_policy.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <tuple>

namespace splicehost::broker {

namespace {

// GHC links home modules into a shared object of this name when it is dynamic itself. It is new each time.
bool isTemporary(const Operation& operation) {
  return operation.kind == schema::LoadKind::LOAD_DLL && operation.hasPath() &&
         operation.baseName().starts_with("libghc_");
}

// GHC names the files of packages so.
bool isHomeModule(const Operation& operation) {
  if (operation.kind != schema::LoadKind::LOAD_OBJ && operation.kind != schema::LoadKind::LOAD_ARCHIVE) {
    return false;
  }
  std::string_view name = operation.baseName();
  return !name.starts_with("HS") && !name.starts_with("libHS");
}

class Hash {
 public:
  void add(uint64_t value) { state_ = (state_ ^ value) * 0x9E3779B97F4A7C15 + (state_ >> 29); }
  // An operation by its name only: copies of a library are the same.
  void add(const Operation& operation) {
    add(static_cast<uint64_t>(operation.kind));
    add(std::hash<std::string_view>()(operation.baseName()));
  }
  void add(const FileSignature& signature) {
    for (uint64_t part : {signature.device, signature.inode, signature.size, static_cast<uint64_t>(signature.mtimeNs),
                          static_cast<uint64_t>(signature.ctimeNs)}) {
      add(part);
    }
  }
  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = 0;
};

// Of an operation after those that are in `before`.
uint64_t failureHash(Hash before, const AskedOperation& last) {
  before.add(last.operation);
  if (last.signature) before.add(last.signature->size);
  return before.value();
}

size_t firstThat(std::span<const AskedOperation> path, bool (*holds)(const Operation&)) {
  auto found = std::ranges::find_if(path, holds, &AskedOperation::operation);
  return static_cast<size_t>(found - path.begin());
}

const LoadTrie::Node* ancestorAt(const LoadTrie::Node* node, size_t depth) {
  while (node->depth > depth) node = node->parent;
  return node;
}

}  // namespace

GrowthPlan GrowthPolicy::plan(const LoadTrie::Node& end, std::span<const AskedOperation> path, uint64_t session,
                              uint64_t now) {
  // How much of the path is for sharing.
  path = path.first(firstThat(path, isTemporary));
  std::erase_if(failures_, [&](const auto& failure) { return failure.second + kFailureMs <= now; });
  Hash before;
  for (size_t i = 0; i < path.size(); ++i) {
    if (failures_.contains(failureHash(before, path[i]))) {
      path = path.first(i);
      break;
    }
    before.add(path[i].operation);
  }
  size_t packages = firstThat(path, isHomeModule);
  if (packages < path.size()) {
    Hash hash;
    for (size_t i = 0; i < path.size(); ++i) {
      hash.add(path[i].operation);
      if (i >= packages && path[i].signature) hash.add(*path[i].signature);
    }
    if (!seenBefore(hash.value(), session)) path = path.first(packages);
  }

  const LoadTrie::Node* known = ancestorAt(&end, path.size());
  const LoadTrie::Node* start = known;
  while (!start->hasZygote && start->parent != nullptr) start = start->parent;
  GrowthPlan plan{start->id, start->depth, {}};
  if (plan.begin == path.size()) return plan;
  // Where the path leaves others, a zygote can serve all of them.
  bool branches = known->depth < path.size() && !known->children.empty();
  if (branches && known->depth >= plan.begin + kWorthwhile) plan.stops.push_back(known->depth);
  // What home modules need is needed again when they have changed.
  if (packages < path.size() && packages > plan.begin) plan.stops.push_back(packages);
  plan.stops.push_back(path.size());
  std::ranges::sort(plan.stops);
  plan.stops.erase(std::unique(plan.stops.begin(), plan.stops.end()), plan.stops.end());
  return plan;
}

void GrowthPolicy::failed(std::span<const AskedOperation> path, uint64_t now) {
  Hash before;
  for (const AskedOperation& operation : path.first(path.size() - 1)) before.add(operation.operation);
  if (failures_.size() == kMostRemembered) failures_.clear();
  failures_[failureHash(before, path.back())] = now;
}

// Whether an earlier session has reported this path.
bool GrowthPolicy::seenBefore(uint64_t home, uint64_t session) {
  auto [known, isNew] = seen_.try_emplace(home, session);
  if (!isNew) return known->second != session;
  seenOrder_.push_back(home);
  if (seenOrder_.size() > kMostRemembered) {
    seen_.erase(seenOrder_.front());
    seenOrder_.pop_front();
  }
  return false;
}

std::optional<size_t> leastUseful(std::span<const ZygoteUse> zygotes) {
  std::optional<size_t> found;
  auto rank = [&](size_t i) { return std::tuple(zygotes[i].root, zygotes[i].inner, zygotes[i].lastUsed); };
  for (size_t i = 0; i < zygotes.size(); ++i) {
    if (zygotes[i].busy) continue;
    if (!found || rank(i) < rank(*found)) found = i;
  }
  return found;
}

}  // namespace splicehost::broker
