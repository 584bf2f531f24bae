#include "tests/protocol/ghc_facts.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include <capnp/message.h>
#include "protocol/ghc_messages.h"
#include "protocol/message_layout.h"

namespace splicehost::ghc {

namespace {

using schema::Reply;
using schema::Request;
using Type = capnp::schema::Type;

// --- types as GHC has them -------------------------------------------------------------------------

// By name, those with an instance by hand (libraries/ghci/GHCi/RemoteTypes.hs, libraries/binary).
const std::map<std::string_view, std::string_view> kLeaves = {
    {"Int", "w"},
    {"Int64", "w"},
    {"Word", "w"},
    {"Word64", "w"},
    {"RemotePtr", "w"},
    {"RemoteRef", "w"},
    {"String", "s"},
    {"ByteString", "d"},
    {"Fingerprint", "ww"},
    // Bytes to everybody but the interpreter's Haskell and byte code's reader.
    {"GenClosure", "closure"},
    // A set of BCOs is a list of their encodings since it is made in pieces (Note [Parallelize CreateBCOs
    // serialization]).
    {"ResolvedBCO", "d"},
};

class TypeReader {
 public:
  explicit TypeReader(std::string_view text) : text_(text) {}

  Result<std::string> readAll() {
    std::string encoding = type();
    if (at_ != text_.size()) fail("has something behind its end");
    if (!error_.empty()) return Error{"the type " + std::string(text_) + " " + error_};
    return encoding;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
  std::string error_;
  std::vector<std::string_view> outer_;

  void fail(const std::string& why) {
    if (error_.empty()) error_ = why;
    at_ = text_.size();
  }

  bool take(char expected) {
    if (at_ == text_.size() || text_[at_] != expected) return false;
    ++at_;
    return true;
  }

  std::string_view name() {
    size_t end = std::min(text_.find_first_of("{}|[](), ", at_), text_.size());
    std::string_view name = text_.substr(at_, end - at_);
    at_ = end;
    if (name.empty()) fail("is cut short");
    return name;
  }

  std::string type() {
    if (take('[')) {
      std::string element = type();
      if (!take(']')) fail("is cut short");
      return "[" + element + "]";
    }
    if (take('(')) {
      std::string parts;
      while (error_.empty() && !take(')')) {
        parts += type();
        take(',');
      }
      return parts;
    }
    std::string_view called = name();
    if (take('{')) return sum(called);
    if (std::ranges::find(outer_, called) != outer_.end()) return "@" + std::string(called);
    auto leaf = kLeaves.find(called);
    if (leaf != kLeaves.end()) return std::string(leaf->second);
    fail("has " + std::string(called) + ", whose encoding is not known");
    return "";
  }

  std::string sum(std::string_view called) {
    outer_.push_back(called);
    std::string parts;
    bool isProduct = true;
    for (bool isLast = false; error_.empty() && !isLast;) {
      name();
      while (error_.empty() && take(' ')) parts += type();
      isLast = take('}');
      if (isLast) break;
      if (!take('|')) fail("is cut short");
      parts += '|';
      isProduct = false;
    }
    outer_.pop_back();
    return isProduct ? parts : "{" + parts + "}";
  }
};

// --- and as the schema has them --------------------------------------------------------------------

// What differs between versions, and is read and written by protocol/ghc_codec.cc.
struct LoadDllForm {
  LoadDllAnswer answer;
  std::string_view encoding;
};
constexpr LoadDllForm kLoadDllForms[] = {
    {LoadDllAnswer::kMaybeError, "{|s}"},
    {LoadDllAnswer::kErrorOrHandle, "{s|w}"},
};
struct BreakForm {
  BreakLocation location;
  std::string_view encoding;
};
constexpr BreakForm kBreakForms[] = {
    {BreakLocation::kUnique, "{|}wwwww"},
    {BreakLocation::kModules, "w{|swsw}ww"},
};

class SchemaReader {
 public:
  // `value` says which alternative is taken.
  SchemaReader(const LoadDllForm& loadDll, const BreakForm& stop, std::string_view value)
      : loadDll_(loadDll), break_(stop), value_(value) {}

  std::string fieldEncoding(const FieldLayout& field) {
    std::string encoding = typeEncoding(field.type, field);
    return field.optional ? "{|" + encoding + "}" : encoding;
  }

 private:
  const LoadDllForm& loadDll_;
  const BreakForm& break_;
  std::string_view value_;
  std::vector<uint64_t> outer_;

  std::string typeEncoding(capnp::Type type, const FieldLayout& field) {
    switch (type.which()) {
      case Type::VOID:
        return "";
      case Type::BOOL:
        return "{|}";
      case Type::ENUM:
        return "{" + std::string(field.enumerants - 1u, '|') + "}";
      case Type::TEXT:
        return "s";
      case Type::DATA:
        return "d";
      case Type::LIST:
        return "[" + typeEncoding(type.asList().getElementType(), field) + "]";
      case Type::STRUCT:
        return structEncoding(*field.structure);
      default:
        return "w";
    }
  }

  std::string structEncoding(const StructLayout& layout) {
    if (layout.id == capnp::typeId<schema::EvalStatus::Break>()) return std::string(break_.encoding);
    if (layout.id == capnp::typeId<schema::LoadedDll>()) return std::string(loadDll_.encoding);
    if (std::ranges::find(outer_, layout.id) != outer_.end()) return "@" + std::string(layout.haskell);
    outer_.push_back(layout.id);
    std::string encoding;
    for (const FieldLayout& field : layout.fields) encoding += fieldEncoding(field);
    if (!layout.constructors.empty()) {
      for (const auto& alternatives : layout.constructors) {
        auto taken = std::ranges::find(alternatives, value_, &FieldLayout::name);
        encoding += encoding.empty() ? '{' : '|';
        encoding += fieldEncoding(taken == alternatives.end() ? alternatives.front() : *taken);
      }
      encoding += '}';
    }
    outer_.pop_back();
    return encoding;
  }
};

// GHC's constructor of a request: the name in the schema but for upper and lower case, or what the schema says.
bool isConstructor(std::string_view constructor, const RequestKind& kind) {
  std::string_view name = kind.constructor.empty() ? kind.name : kind.constructor;
  return name.size() == constructor.size() && strncasecmp(name.data(), constructor.data(), name.size()) == 0;
}

std::optional<Request::Which> requestOf(std::string_view constructor) {
  uint16_t count = capnp::Schema::from<Request>().getUnionFields().size();
  for (uint16_t number = 0; number < count; ++number) {
    auto which = static_cast<Request::Which>(number);
    if (isConstructor(constructor, kindOf(which))) return which;
  }
  return std::nullopt;
}

// Why what GHC says of a message is not what the schema says of a request; nothing if it is. Notes which form of what
// differs between versions it takes.
std::optional<std::string> difference(const Facts::Message& message, Request::Which which, Wire& wire) {
  const RequestKind& kind = kindOf(which);
  Result<std::string> fields = encodingOf(message.fields);
  if (!fields) return fields.error().message;
  if (*fields != SchemaReader(kLoadDllForms[0], kBreakForms[0], "").fieldEncoding(layoutOf(which))) {
    return "it has the fields " + message.fields;
  }
  Result<std::string> answer = encodingOf(message.answer);
  if (!answer) return answer.error().message;
  if (kind.reply == Reply::CLOSURE && *answer == "closure") return std::nullopt;
  for (const LoadDllForm& loadDll : kLoadDllForms) {
    for (const BreakForm& stop : kBreakForms) {
      if (*answer != SchemaReader(loadDll, stop, kind.value).fieldEncoding(layoutOf(kind.reply))) continue;
      if (kind.reply == Reply::LOADED_DLL) wire.loadDllAnswer = loadDll.answer;
      if (kind.reply == Reply::EVAL_STATUS) wire.breakLocation = stop.location;
      return std::nullopt;
    }
  }
  return "it is answered by " + message.answer;
}

std::string hexadecimal(Bytes bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::byte byte : bytes) {
    text += kDigits[std::to_integer<uint8_t>(byte) >> 4];
    text += kDigits[std::to_integer<uint8_t>(byte) & 15];
  }
  return text;
}

Status isWritten(const Writer& out, Bytes bytes) {
  if (std::ranges::equal(out.bytes(), bytes)) return Done{};
  return Error{"is written as " + hexadecimal(out.bytes())};
}

Status requestIsKept(const Version& version, Bytes bytes) {
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<Request>();
  Result<Decoded> decoded = decodeRequest(version, bytes, request);
  if (!decoded) return decoded.error();
  if (decoded->size != bytes.size()) return Error{"is not read to its end"};
  Writer out;
  encodeRequest(version, request, out);
  return isWritten(out, bytes);
}

// Of an answer that is a splice's result, the sign before it is not part of the sample.
Status answerIsKept(const Version& version, Request::Which which, Bytes bytes) {
  capnp::MallocMessageBuilder message;
  auto reply = message.initRoot<Reply>();
  Status decoded = decodeReply(version, which, bytes, reply);
  if (!decoded) return decoded;
  Writer out;
  Status encoded = encodeReply(version, which, reply, out);
  if (!encoded) return encoded;
  size_t before = reply.isQResult() ? 1 : 0;
  Writer rest;
  rest.raw(Bytes(out.bytes()).subspan(before));
  return isWritten(rest, bytes);
}

std::string_view nextWord(std::string_view& line, char separator = ' ') {
  size_t end = std::min(line.find(separator), line.size());
  std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

template <typename Number>
bool readNumber(std::string_view text, Number& number, int base = 10) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

bool readBytes(std::string_view text, std::vector<std::byte>& bytes) {
  for (; text.size() >= 2; text.remove_prefix(2)) {
    uint8_t byte = 0;
    if (!readNumber(text.substr(0, 2), byte, 16)) return false;
    bytes.push_back(std::byte{byte});
  }
  return text.empty();
}

// A word, or what is between parentheses or braces.
std::string_view nextType(std::string_view& line) {
  size_t at = 0, depth = 0;
  for (; at < line.size() && (depth > 0 || line[at] != ' '); ++at) {
    if (std::string_view("([{").find(line[at]) != std::string_view::npos) ++depth;
    if (std::string_view(")]}").find(line[at]) != std::string_view::npos && depth > 0) --depth;
  }
  std::string_view type = line.substr(0, at);
  line.remove_prefix(std::min(at + 1, line.size()));
  return type;
}

bool readFact(std::string_view line, Facts& facts) {
  std::string_view kind = nextWord(line);
  if (kind == "message") {
    Facts::Message message;
    if (!readNumber(nextWord(line), message.tag)) return false;
    message.constructor = nextWord(line);
    message.fields = nextType(line);
    message.answer = nextType(line);
    bool isWhole = line.empty() && !message.answer.empty();
    facts.messages.push_back(std::move(message));
    return isWhole;
  }
  if (kind == "question") {
    Facts::Question question;
    if (!readNumber(nextWord(line), question.tag)) return false;
    question.constructor = nextWord(line);
    facts.questions.push_back(question);
    return !question.constructor.empty();
  }
  if (kind == "sample") {
    Facts::Sample sample;
    std::string_view of = nextWord(line);
    sample.isAnswer = of == "answer";
    if (!sample.isAnswer && of != "message") return false;
    bool isWhole = readNumber(nextWord(line), sample.tag) && readBytes(line, sample.bytes);
    facts.samples.push_back(std::move(sample));
    return isWhole;
  }
  return false;
}

}  // namespace

Result<Facts> parseFacts(std::string_view text) {
  Facts facts;
  for (int number = 1; !text.empty(); ++number) {
    std::string_view line = nextWord(text, '\n');
    if (!line.empty() && !readFact(line, facts)) {
      return Error{"line " + std::to_string(number) + " is not a fact: " + std::string(line)};
    }
  }
  return facts;
}

Result<std::string> encodingOf(std::string_view type) { return TypeReader(type).readAll(); }

Wire understand(const Facts& facts) {
  Wire wire;
  for (const Facts::Message& message : facts.messages) {
    std::string called = "message " + std::to_string(message.tag) + ", " + message.constructor;
    std::optional<Request::Which> which = requestOf(message.constructor);
    if (!which) {
      wire.unknown.push_back(called + ", with the fields " + message.fields + ", answered by " + message.answer);
    } else if (std::optional<std::string> why = difference(message, *which, wire)) {
      wire.unknown.push_back(called + ": " + *why);
    }
    if (message.tag != wire.requests.size()) wire.unknown.push_back("tags are not in order: " + called);
    wire.requests.push_back(which.value_or(Request::SHUTDOWN));
  }
  for (const Facts::Question& question : facts.questions) {
    if (question.tag != wire.questions.size()) wire.unknown.push_back("tags are not in order: " + question.constructor);
    if (question.constructor == "RunTHDone") wire.runTHDoneTag = question.tag;
    if (question.constructor == "AddModFinalizer") wire.addModFinalizerTag = question.tag;
    wire.questions.push_back(question.constructor);
  }
  return wire;
}

std::vector<std::string> misunderstood(const Facts& facts, const Version& version) {
  std::vector<std::string> all;
  for (const Facts::Sample& sample : facts.samples) {
    std::string what = (sample.isAnswer ? "an answer to the message with tag " : "a message with tag ") +
                       std::to_string(sample.tag) + ": " + hexadecimal(sample.bytes) + " ";
    if (sample.tag >= version.requests.size()) {
      all.push_back(what + "is not known");
      continue;
    }
    Request::Which which = version.requests[sample.tag];
    Status read = sample.isAnswer ? answerIsKept(version, which, sample.bytes) : requestIsKept(version, sample.bytes);
    if (!read) all.push_back(what + read.error().message);
  }
  return all;
}

}  // namespace splicehost::ghc
