// Grows the zygotes of one tree, one at a time, from what sessions report. A growing zygote is a fork of
// another one that loads one operation after another; nobody waits for it.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "iserv/broker/growth_policy.h"
#include "iserv/broker/unshared_files.h"
#include "iserv/broker/zygote_tree.h"

namespace splicehost::broker {

// What a session was asked for.
struct LoadReport {
  uint64_t session = 0;                    // who reports
  NodeId node = 0;                         // where it was when it began
  std::vector<Operation> path;             // how it came there, with files that it has itself
  std::vector<AskedOperation> operations;  // what it loaded then
  std::vector<std::string> symbols;        // what it looked up after that
  bool isSecondTry = false;
};

class Grower {
 public:
  // Reports that wait. Later ones are more useful: older ones go.
  static constexpr size_t kMostReports = 32;

  Grower(const ZygoteTree::Parts& parts, ZygoteTree& tree) : parts_(parts), tree_(tree) {}

  void add(LoadReport report);
  // Gives up everything.
  void close();
  // To be called now and then: gives up what takes too long.
  void tick();

  bool isBusy() const { return current_.has_value() || !reports_.empty(); }
  // The process that is growing, and what it has loaded; null if none is.
  const ZygoteProcess* growing() const { return current_ ? current_->process.get() : nullptr; }
  std::vector<std::string> filesLoaded() const;
  // What is left to each session.
  const UnsharedFiles& unshared() const { return unshared_; }

 private:
  // The report that is being worked on.
  struct Growth {
    LoadReport report;
    uint64_t begun;                         // in the loop's time
    uint64_t progress;                      // since when nothing happened
    std::vector<AskedOperation> path = {};  // from the root
    NodeId base = 0;                        // of the zygote that was forked
    size_t done = 0;                        // operations of the path that the process has done
    std::vector<size_t> stops = {};         // where it is to stay
    std::unique_ptr<ZygoteProcess> process = {};
    bool isGone = false;                     // the process, of which it is not known yet how it ended
    std::vector<DoneOperation> loaded = {};  // since the base
    Conditions conditions = {};
  };

  void next();
  void begin();
  void identify(size_t operation);
  std::optional<size_t> undecided(size_t first) const;
  size_t shareable(const LoadTrie::Node& end) const;
  void forkFrom(Zygote& zygote);
  void forked();
  void loadNext();
  void loaded(Result<DoneOperation> result);
  void reachStop();
  bool isLoading() const;
  void gone(const std::string& why);
  void ended(Ended how);
  void leaveToSessions(const std::string& why);
  void leaveToSessions(DoneOperation operation);
  void fail(const std::string& why);
  void finish();

  const ZygoteTree::Parts parts_;
  ZygoteTree& tree_;
  GrowthPolicy policy_;
  UnsharedFiles unshared_;
  std::deque<LoadReport> reports_;
  std::optional<Growth> current_;
  // For answers that may come when this object is gone.
  std::shared_ptr<void> alive_ = std::make_shared<char>();
};

}  // namespace splicehost::broker
