// Loads code ahead of the sessions that will be forked from this process. It tells what has to hold for the result to
// be theirs: what the loading depended on, and what it did beside its purpose (protocol/broker.capnp, LoadedFile). See
// Note [What a zygote must not do] in iserv/interpreter/zygote.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "iserv/interpreter/rts_linker.h"
#include "linker/content_identity.h"
#include "protocol/broker.capnp.h"
#include "protocol/result.h"

namespace splicehost {

class Preloader {
 public:
  // The linker must outlive this.
  explicit Preloader(linker::RtsLinker& linker) : linker_(linker) {}

  // Does an operation and describes it, or says why it failed. The result is the file, held open, if this process has
  // mapped it.
  std::optional<linker::OpenFile> load(schema::LoadOperation::Reader operation, schema::Loaded::Builder loaded);
  // Links the symbols that are there: sets lookedUp, and effect if that did something that is not for sharing.
  void lookUp(capnp::List<capnp::Text>::Reader symbols, schema::FromZygote::Builder answer);

  // For a session: what was loaded here has its client's names from now on. The operations that follow are done with
  // these. Fails if the names are not those of all operations, or an operation fails.
  Status replay(capnp::List<capnp::Data>::Reader names, capnp::List<schema::LoadOperation>::Reader further);

 private:
  Status perform(schema::LoadKind kind, const std::string& file);
  Status performIn(const std::string& directory, schema::LoadKind kind, const std::string& file);

  linker::RtsLinker& linker_;
  // Of the operations that were done here; empty if an operation has none.
  std::vector<std::string> files_;
};

}  // namespace splicehost
