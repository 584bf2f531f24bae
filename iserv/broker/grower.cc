#include "iserv/broker/grower.h"

#include <algorithm>
#include <iterator>

namespace splicehost::broker {

namespace {

// How long one operation may take.
constexpr uint64_t kPatienceMs = 60'000;
// How many nodes a tree may have before those without zygotes go.
constexpr size_t kMostNodes = 4096;

}  // namespace

void Grower::add(LoadReport report) {
  auto same = std::ranges::find_if(reports_, [&](const LoadReport& waiting) {
    return waiting.node == report.node &&
           std::ranges::equal(waiting.operations, report.operations, {}, &AskedOperation::operation,
                              &AskedOperation::operation);
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
  if (current_ && current_->process && current_->progress + kPatienceMs < uv_now(&parts_.loop)) {
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

  current_->path.clear();
  std::ranges::transform(report.path, std::back_inserter(current_->path), asked);
  std::ranges::copy(report.operations, std::back_inserter(current_->path));
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

// The file of one of the reported operations has to be read.
void Grower::identify(size_t operation) {
  auto identified = [this, alive = std::weak_ptr(alive_), operation](Result<FileContent> content) {
    if (alive.expired() || !current_) return;
    AskedOperation& step = current_->report.operations[operation];
    if (content) {
      step.stamp = content->stamp;
      step.digest = content->digest;
      if (content->settled) tree_.trie().learn(content->digest, content->stamp);
    } else {
      step.stamp.reset();
    }
    begin();
    next();
  };
  parts_.digests.identify(current_->report.operations[operation].operation.file, std::move(identified));
}

void Grower::forkFrom(Zygote& zygote) {
  Growth& growth = *current_;
  growth.base = zygote.node->id;
  growth.mappings = zygote.mappings;
  growth.loaded.clear();
  growth.progress = uv_now(&parts_.loop);
  auto fork = zygote.process->fork(schema::ForkPurpose::ZYGOTE);
  if (!fork) {
    parts_.log("no zygote can be grown: " + fork.error().message);
    return current_.reset();
  }
  growth.process = std::move(*fork);
  growth.process->whenReady([this] { loadNext(); });
  growth.process->whenGone([this](const std::string& why) { fail(why); });
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
  Growth& growth = *current_;
  ++growth.done;
  auto depth = static_cast<uint32_t>(growth.done);
  if (result->digest) {
    growth.mappings.push_back({result->operation.file, result->stamp, depth, Mapping::Kind::kFile});
  }
  for (const MappedFile& file : result->dependencies) {
    growth.mappings.push_back({file.path, file.stamp, depth, Mapping::Kind::kDependency});
  }
  for (const MappedFile& folder : result->searched) {
    growth.mappings.push_back({folder.path, folder.stamp, depth, Mapping::Kind::kFolder});
  }
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
    zygote = &tree_.plant(node, std::move(growth.process), std::move(growth.mappings));
    if (trie.size() > kMostNodes) trie.prune();
    std::vector<std::string> files = filesLoaded();
    parts_.log("zygote " + std::to_string(zygote->process->id()) + " grown in " +
               std::to_string(uv_now(&parts_.loop) - growth.begun) + " ms: " +
               std::to_string(node.depth) + " operations, " + std::to_string(growth.loaded.size()) +
               " of them its own" + (files.empty() ? "" : ", up to " + files.back()));
  }
  if (!growth.stops.empty()) {
    forkFrom(*zygote);
    if (!current_) next();
    return;
  }
  tree_.lookUp(*zygote, growth.report.symbols);
  finish();
}

// The growing process is of no use any more.
void Grower::fail(const std::string& why) {
  Growth& growth = *current_;
  bool wasLoading = growth.process && growth.process->isReady() && growth.done < growth.path.size();
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
