#include "iserv/broker/digests.h"

#include <utility>

#include "iserv/broker/event_loop.h"

namespace splicehost::broker {

void Digests::identify(std::string path, std::function<void(Result<FileContent>)> done) {
  waiting_.push_back({std::move(path), std::move(done)});
  begin();
}

void Digests::begin() {
  while (!waiting_.empty() && reading_ < kMostAtOnce) {
    Order order = std::move(waiting_.front());
    waiting_.pop_front();
    ++reading_;
    auto content = std::make_shared<Result<FileContent>>(Error{order.path + " could not be read"});
    inBackground(
        loop_, [this, content, path = std::move(order.path)] { *content = contentOf(path); },
        [this, content, done = std::move(order.done)] {
          --reading_;
          begin();
          done(std::move(*content));
        });
  }
}

Result<FileContent> Digests::contentOf(const std::string& path) {
  Result<linker::FileStamp> stamp = linker::stampOf(path);
  if (!stamp) return stamp.error();
  if (stamp->size > kMaxFile) return Error{path + " is too large for a library"};
  std::unique_ptr<linker::DigestCache> cache = takeCache();
  Result<FileContent> content = cache->contentOf(path);
  std::lock_guard lock(mutex_);
  caches_.push_back(std::move(cache));
  return content;
}

std::unique_ptr<linker::DigestCache> Digests::takeCache() {
  std::lock_guard lock(mutex_);
  if (caches_.empty()) return std::make_unique<linker::DigestCache>();
  auto cache = std::move(caches_.back());
  caches_.pop_back();
  return cache;
}

}  // namespace splicehost::broker
