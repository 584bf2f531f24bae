#include "protocol/describe.h"

#include <capnp/dynamic.h>
#include <kj/string.h>

#include "protocol/message_layout.h"

namespace splicehost {

namespace {

// A trace line is for a person.
constexpr size_t kMaxLine = 400;
constexpr uint64_t kMaxBytesShown = 64;

std::string shorten(kj::String text) {
  std::string line(text.cStr(), text.size());
  if (line.size() > kMaxLine) {
    line.resize(kMaxLine);
    line += " ...";
  }
  return line;
}

std::string bytesSummary(const char* name, uint64_t count, uint64_t bytes) {
  return std::string("(") + name + " = " + std::to_string(count) + " items, " + std::to_string(bytes) + " bytes)";
}

std::string textOf(capnp::DynamicStruct::Reader holder, const FieldLayout& field) {
  auto text = holder.get(field.field).as<capnp::Text>();
  return {text.begin(), text.size()};
}

std::string spliceSubject(schema::Splice::Reader splice) {
  if (!splice.hasLocation()) return splice.getKind() == schema::SpliceKind::ANNOTATION ? "annotation" : "splice";
  auto at = splice.getLocation();
  return kj::str("splice at ", at.getFile(), ":", at.getStartLine(), ":", at.getStartColumn(), " (module ",
                 at.getModule(), ")")
      .cStr();
}

}  // namespace

std::string describe(schema::Request::Reader request) {
  if (request.isCreateBcos()) {
    uint64_t bytes = 0;
    for (auto chunk : request.getCreateBcos()) bytes += chunk.size();
    return bytesSummary("createBcos", request.getCreateBcos().size(), bytes);
  }
  if (request.isMallocStrings()) {
    uint64_t bytes = 0;
    for (auto string : request.getMallocStrings()) bytes += string.size();
    return bytesSummary("mallocStrings", request.getMallocStrings().size(), bytes);
  }
  if (request.isMallocData() && request.getMallocData().size() > kMaxBytesShown) {
    return bytesSummary("mallocData", 1, request.getMallocData().size());
  }
  return shorten(kj::str(request));
}

std::string describe(schema::Reply::Reader reply) {
  if (reply.isQResult() && reply.getQResult().isDone()) {
    return bytesSummary("qResult", 1, reply.getQResult().getDone().size());
  }
  if (reply.isClosure()) return bytesSummary("closure", 1, reply.getClosure().size());
  return shorten(kj::str(reply));
}

std::string describe(schema::FromInterpreter::Reader message) {
  if (message.isReply()) return describe(message.getReply());
  if (message.isThRequest()) return bytesSummary("thRequest", 1, message.getThRequest().size());
  return shorten(kj::str(message));
}

std::string subject(schema::Request::Reader request) {
  const FieldLayout& message = layoutOf(request.which());
  if (request.isRunTh()) return spliceSubject(request.getRunTh());
  if (request.isEvalStmt()) return "evalStmt (a statement at the prompt)";
  std::string name(message.name);
  capnp::DynamicStruct::Reader holder = request;
  if (message.subject) return name + " " + textOf(holder, message);
  if (message.structure == nullptr) return name;
  auto content = holder.get(message.field).as<capnp::DynamicStruct>();
  for (const FieldLayout& field : message.structure->fields) {
    if (field.subject) return name + " " + textOf(content, field);
  }
  return name;
}

std::string thMessageName(const ghc::Version& version, capnp::Data::Reader message) {
  if (message.size() == 0) return "(empty)";
  uint8_t tag = message[0];
  if (tag >= version.thMessages.size()) return "(tag " + std::to_string(tag) + ")";
  return std::string(version.thMessages[tag]);
}

}  // namespace splicehost
