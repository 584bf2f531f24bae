#include "iserv/broker/digests.h"

#include <memory>
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
  Result<linker::FileSignature> signature = linker::signatureOf(path);
  if (!signature) return signature.error();
  if (signature->size > kMaxFile) return Error{path + " is too large for a library"};
  return cache_.contentOf(path);
}

}  // namespace splicehost::broker
