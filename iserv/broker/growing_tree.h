// A tree of zygotes, and what grows them.
#pragma once

#include <set>
#include <utility>

#include "iserv/broker/grower.h"
#include "iserv/broker/zygote_tree.h"

namespace splicehost::broker {

class GrowingTree : public ZygoteTree {
 public:
  GrowingTree(const Parts& parts, Interpreter interpreter)
      : ZygoteTree(parts, std::move(interpreter)), grower_(parts, *this) {}

  const Grower& grower() const { return grower_; }

  // What a session has loaded.
  void report(LoadReport report) {
    if (!isClosed()) grower_.add(std::move(report));
  }
  // As the tree's, of both.
  void close() {
    grower_.close();
    ZygoteTree::close();
  }
  void tick(const std::set<pid_t>& inUse) {
    grower_.tick();
    ZygoteTree::tick(inUse);
  }

 private:
  Grower grower_;
};

}  // namespace splicehost::broker
