// Forwards what an interpreter prints on a target to the front end, whose user knows files by other names than they
// have in the target's store.
#pragma once

#include <kj/io.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace splicehost::remote {

class OutputForwarder {
 public:
  // `stream` is STDOUT_FILENO or STDERR_FILENO. What cannot be sent is lost.
  using Send = std::function<void(uint8_t stream, const std::string& text)>;

  // What is printed arrives at `output` and `errors`, which do not block. Files under `directory` are the store's.
  OutputForwarder(kj::AutoCloseFd output, kj::AutoCloseFd errors, std::string directory, Send send);

  // Readable when there may be something to forward.
  int outputFd() const { return output_.get(); }
  int errorsFd() const { return errors_.get(); }

  // A file of the store goes by this name on the front end's machine from here on.
  void rename(const std::string& path, std::string name) { names_[path] = std::move(name); }
  // Text with the names that the front end's user knows.
  std::string translated(std::string text) const;

  // Sends all that has been printed so far.
  void forward();
  // Sends a text of our own.
  void print(uint8_t stream, std::string text);

 private:
  void forward(int fd, uint8_t stream);

  kj::AutoCloseFd output_, errors_;
  std::string directory_;
  Send send_;
  std::map<std::string, std::string> names_;  // by path
};

}  // namespace splicehost::remote
