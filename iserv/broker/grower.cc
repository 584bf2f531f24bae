#include "iserv/broker/grower.h"

#include <signal.h>

#include <algorithm>
#include <iterator>

#include "protocol/patience.h"

namespace splicehost::broker {

namespace {

// How long one operation may take.
constexpr uint64_t kPatienceMs = 20'000;
// How many nodes a tree may have before those without zygotes go.
constexpr size_t kMostNodes = 4096;

}  // namespace

void Grower::add(LoadReport report) {
  auto same = std::ranges::find_if(reports_, [&](const LoadReport& waiting) {
    return waiting.node == report.node && std::ranges::equal(waiting.operations, report.operations, {},
                                                             &AskedOperation::operation, &AskedOperation::operation);
  });
  if (same != reports_.end()) {
    std::ranges::move(report.symbols, std::back_inserter(same->symbols));
    return;
  }
  if (reports_.size() == kMostReports) reports_.pop_front();
  reports_.push_back(std::move(report));
  next();
}

void Grower::close() {
  reports_.clear();
  current_.reset();
}

void Grower::tick() {
  if (!current_ || !current_->process) return;
  if (!isOver(uv_now(&parts_.loop) - current_->progress, kPatienceMs)) return;
  if (isLoading() && !current_->isGone) {
    leaveToSessions("it takes too long");
  } else {
    fail("it takes too long");
  }
}

std::vector<std::string> Grower::filesLoaded() const {
  std::vector<std::string> files;
  if (!current_) return files;
  for (const AskedOperation& step : std::span(current_->path).first(current_->done)) {
    if (!step.operation.file.empty()) files.push_back(step.operation.file);
  }
  return files;
}

void Grower::next() {
  while (!current_ && !reports_.empty()) {
    uint64_t now = uv_now(&parts_.loop);
    current_.emplace(Growth{std::move(reports_.front()), now, now});
    reports_.pop_front();
    begin();
  }
}

// Finds out what to do about the current report, and begins with it.
void Grower::begin() {
  LoadReport& report = current_->report;
  LoadTrie::Node* from = tree_.trie().find(report.node);
  if (from == nullptr) return current_.reset();
  LoadTrie::Walk walk = tree_.trie().walk(*from, report.operations);
  if (walk.undecided) return identify(walk.matched);
  if (auto operation = undecided(walk.matched)) return identify(*operation);

  current_->path.clear();
  std::ranges::transform(report.path, std::back_inserter(current_->path), asked);
  std::ranges::copy(report.operations, std::back_inserter(current_->path));
  current_->path.resize(shareable(*walk.end));
  GrowthPlan plan = policy_.plan(*walk.end, current_->path, report.session, uv_now(&parts_.loop));
  Zygote* start = tree_.zygoteAt(plan.start);
  if (start == nullptr) {
    // Only the root can be missing.
    if (tree_.start()) start = tree_.zygoteAt(plan.start);
    if (start == nullptr) return current_.reset();
  }
  if (plan.stops.empty()) {
    tree_.lookUp(*start, report.symbols);
    return current_.reset();
  }
  current_->done = plan.begin;
  current_->stops = std::move(plan.stops);
  forkFrom(*start);
}

// The first of the reported operations of which it is not known whether it is left to sessions.
std::optional<size_t> Grower::undecided(size_t first) const {
  const auto& operations = current_->report.operations;
  for (size_t i = first; i < operations.size(); ++i) {
    auto verdict = unshared_.judge(operations[i]);
    if (verdict == UnsharedFiles::Verdict::kUnshared) return std::nullopt;
    if (verdict == UnsharedFiles::Verdict::kUndecided) return i;
  }
  return std::nullopt;
}

// How much of the path zygotes may do. `end` is the last node on it.
size_t Grower::shareable(const LoadTrie::Node& end) const {
  const auto& path = current_->path;
  size_t length = end.depth;
  while (length < path.size() && unshared_.judge(path[length]) == UnsharedFiles::Verdict::kShared) ++length;
  for (const LoadTrie::Node* node = &end; node != nullptr; node = node->parent) {
    if (node->whyUnresolved.empty() || node->depth >= length) continue;
    if (path[node->depth].operation.kind == schema::LoadKind::RESOLVE_OBJS) length = node->depth;
  }
  return length;
}

// The file of one of the reported operations has to be read.
void Grower::identify(size_t operation) {
  auto identified = [this, alive = std::weak_ptr(alive_), operation](Result<FileContent> content) {
    if (alive.expired() || !current_) return;
    AskedOperation& step = current_->report.operations[operation];
    if (content) {
      step.signature = content->signature;
      step.digest = content->digest;
      if (content->settled) tree_.trie().learn(content->digest, content->signature);
    } else {
      step.signature.reset();
    }
    begin();
    next();
  };
  parts_.digests.identify(current_->report.operations[operation].operation.file, std::move(identified));
}

void Grower::forkFrom(Zygote& zygote) {
  Growth& growth = *current_;
  growth.base = zygote.node->id;
  growth.loaded.clear();
  growth.progress = uv_now(&parts_.loop);
  auto fork = zygote.process->fork(schema::ForkPurpose::ZYGOTE);
  if (!fork) {
    parts_.log("no zygote can be grown: " + fork.error().message);
    return current_.reset();
  }
  growth.process = std::move(*fork);
  growth.isGone = false;
  growth.process->whenReady([this] {
    auto tell = [this, alive = std::weak_ptr(alive_), id = current_->process->id()](Ended how) {
      bool isOurs = !alive.expired() && current_ && current_->process && current_->process->id() == id;
      if (isOurs) ended(how);
    };
    parts_.processes.whenEnded(current_->process->id(), tell);
    forked();
  });
  growth.process->whenGone([this](const std::string& why) { gone(why); });
}

void Grower::forked() {
  // What a process depends on that was just started is known when it is ready, and so are its forks.
  Zygote* base = tree_.zygoteAt(current_->base);
  if (base == nullptr) return fail("the zygote that it was forked from is gone");
  current_->conditions = base->conditions;
  loadNext();
}

void Grower::loadNext() {
  Growth& growth = *current_;
  growth.progress = uv_now(&parts_.loop);
  if (growth.done == growth.stops.front()) return reachStop();
  growth.process->load(growth.path[growth.done].operation,
                       [this](Result<DoneOperation> result) { loaded(std::move(result)); });
}

void Grower::loaded(Result<DoneOperation> result) {
  if (!result) return fail(result.error().message);
  if (!result->effect.empty()) return leaveToSessions(std::move(*result));
  Growth& growth = *current_;
  ++growth.done;
  auto depth = static_cast<uint32_t>(growth.done);
  if (result->digest) {
    auto mapped = std::exchange(result->mapped, {});
    growth.conditions.addOwn(depth, {result->operation.file, result->signature, *result->digest, std::move(mapped)});
  }
  growth.conditions.add(depth, result->conditions);
  growth.loaded.push_back(std::move(*result));
  loadNext();
}

// The process is where a zygote should be.
void Grower::reachStop() {
  Growth& growth = *current_;
  LoadTrie& trie = tree_.trie();
  LoadTrie::Node* base = trie.find(growth.base);
  if (base == nullptr) return finish();  // what it has loaded has changed
  LoadTrie::Node& node = trie.add(*base, growth.loaded);
  growth.stops.erase(growth.stops.begin());
  // The files may have led to a place that has a zygote.
  Zygote* zygote = tree_.zygoteAt(node.id);
  if (zygote == nullptr) {
    zygote = &tree_.add(node, std::move(growth.process), std::move(growth.conditions));
    if (trie.size() > kMostNodes) trie.prune();
    std::vector<std::string> files = filesLoaded();
    parts_.log("zygote " + std::to_string(zygote->process->id()) + " grown in " +
               std::to_string(uv_now(&parts_.loop) - growth.begun) + " ms: " + std::to_string(node.depth) +
               " operations, " + std::to_string(growth.loaded.size()) + " of them its own" +
               (files.empty() ? "" : ", up to " + files.back()));
  }
  if (!growth.stops.empty()) {
    forkFrom(*zygote);
    if (!current_) next();
    return;
  }
  tree_.lookUp(*zygote, growth.report.symbols);
  finish();
}

bool Grower::isLoading() const {
  return current_->process && current_->process->isReady() && current_->done < current_->path.size();
}

void Grower::gone(const std::string& why) {
  if (!isLoading()) return fail(why);
  // How it ended will be told.
  current_->isGone = true;
}

void Grower::ended(Ended how) {
  if (!isLoading()) return;  // it hangs up, which says so
  // By itself: whoever kills processes kills one that loads anything else, too.
  bool wasKilled = how.signal == SIGKILL || how.signal == SIGTERM;
  std::string words =
      how.signal != 0 ? "signal " + std::to_string(how.signal) : "exit status " + std::to_string(how.status);
  if (wasKilled) return fail("it was killed");
  leaveToSessions("the process ended with " + words);
}

// The operation that the process is at hangs, or has ended it.
void Grower::leaveToSessions(const std::string& why) {
  Growth& growth = *current_;
  Operation operation = growth.path[growth.done].operation;
  DoneOperation last{operation, {}, {}};
  last.effect = why;
  growth.process.reset();
  if (!operation.hasPath()) return leaveToSessions(std::move(last));
  // Content is known when an operation is done only.
  auto identified = [this, alive = std::weak_ptr(alive_), last](Result<FileContent> content) mutable {
    if (alive.expired() || !current_) return;
    if (!content) return fail(last.effect);
    last.digest = content->digest;
    last.signature = content->signature;
    leaveToSessions(std::move(last));
  };
  parts_.digests.identify(operation.file, std::move(identified));
}

// The last operation is not for sharing. What comes before it is.
void Grower::leaveToSessions(DoneOperation last) {
  Growth& growth = *current_;
  std::string file = last.operation.file;
  if (file.empty()) {
    std::vector<std::string> files = filesLoaded();
    file = files.empty() ? "" : files.back();
  }
  parts_.log(file + " is not shared: " + last.effect);
  if (last.operation.kind == schema::LoadKind::RESOLVE_OBJS) {
    LoadTrie::Node* base = tree_.trie().find(growth.base);
    if (base != nullptr) tree_.trie().add(*base, growth.loaded).whyUnresolved = last.effect;
  } else {
    unshared_.add({last.operation, last.digest, last.signature.size, std::move(last.conditions.files), last.effect});
  }
  if (!growth.report.isSecondTry) {
    growth.report.isSecondTry = true;
    reports_.push_front(std::move(growth.report));
  }
  finish();
}

// The growing process is of no use any more.
void Grower::fail(const std::string& why) {
  Growth& growth = *current_;
  bool wasLoading = isLoading();
  std::string what = wasLoading ? growth.path[growth.done].operation.file : "";
  parts_.log("a zygote does not grow" + (what.empty() ? "" : " with " + what) + ": " + why);
  if (wasLoading) {
    policy_.failed(std::span(growth.path).first(growth.done + 1), uv_now(&parts_.loop));
    if (growth.loaded.size() >= GrowthPolicy::kWorthwhile && !growth.report.isSecondTry) {
      // The policy knows now where to stop.
      growth.report.isSecondTry = true;
      reports_.push_front(std::move(growth.report));
    }
  }
  finish();
}

void Grower::finish() {
  current_.reset();
  next();
}

}  // namespace splicehost::broker
