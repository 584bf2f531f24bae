#include "iserv/remote/output_forwarder.h"

#include <unistd.h>

#include <utility>

namespace splicehost::remote {

OutputForwarder::OutputForwarder(kj::AutoCloseFd output, kj::AutoCloseFd errors, std::string directory, Send send)
    : output_(kj::mv(output)), errors_(kj::mv(errors)), directory_(std::move(directory)), send_(std::move(send)) {}

std::string OutputForwarder::translated(std::string text) const {
  if (text.find(directory_) == text.npos) return text;
  for (const auto& [path, name] : names_) {
    for (size_t at = 0; (at = text.find(path, at)) != text.npos; at += name.size()) text.replace(at, path.size(), name);
  }
  return text;
}

void OutputForwarder::forward() {
  forward(output_.get(), STDOUT_FILENO);
  forward(errors_.get(), STDERR_FILENO);
}

void OutputForwarder::forward(int fd, uint8_t stream) {
  char buffer[16384];
  for (;;) {
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0) return;
    print(stream, {buffer, static_cast<size_t>(got)});
  }
}

void OutputForwarder::print(uint8_t stream, std::string text) { send_(stream, translated(std::move(text))); }

}  // namespace splicehost::remote
