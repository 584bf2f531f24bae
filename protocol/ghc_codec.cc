#include "protocol/ghc_codec.h"

#include <algorithm>

namespace splicehost::ghc {

namespace {

using Type = capnp::schema::Type;

// Deeper structures than this are not what GHC sends, and would exhaust the stack: fifty applications, each of which
// is two structs, in a statement.
constexpr int kMaxDepth = 102;

capnp::Text::Reader text(const std::string& string) { return {string.data(), string.size()}; }

std::string_view view(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

capnp::Data::Reader data(Bytes bytes) { return {reinterpret_cast<const capnp::byte*>(bytes.data()), bytes.size()}; }

Bytes bytesOf(capnp::Data::Reader data) { return {reinterpret_cast<const std::byte*>(data.begin()), data.size()}; }

// --- what differs between versions -----------------------------------------------------------------

void readBreak(const Version& version, Reader& in, schema::EvalStatus::Break::Builder stop) {
  switch (version.breakLocation) {
    case BreakLocation::kUnique:
      stop.setIsException(in.boolean());
      stop.setStack(in.word());
      stop.setIndex(in.integer());
      stop.setModuleUnique(in.integer());
      break;
    case BreakLocation::kModules:
      stop.setStack(in.word());
      stop.setIsException(in.constructor(2, "Maybe") == 0);
      if (stop.getIsException()) break;
      stop.setModule(text(in.string()));
      stop.setIndex(in.integer());
      stop.setInfoModule(text(in.string()));
      stop.setInfoIndex(in.integer());
      break;
  }
  stop.setResumeContext(in.word());
  stop.setCostCentreStack(in.word());
}

void writeBreak(const Version& version, Writer& out, schema::EvalStatus::Break::Reader stop) {
  switch (version.breakLocation) {
    case BreakLocation::kUnique:
      out.boolean(stop.getIsException());
      out.word(stop.getStack());
      out.integer(stop.getIndex());
      out.integer(stop.getModuleUnique());
      break;
    case BreakLocation::kModules:
      out.word(stop.getStack());
      out.boolean(!stop.getIsException());
      if (stop.getIsException()) break;
      out.string(view(stop.getModule()));
      out.integer(stop.getIndex());
      out.string(view(stop.getInfoModule()));
      out.integer(stop.getInfoIndex());
      break;
  }
  out.word(stop.getResumeContext());
  out.word(stop.getCostCentreStack());
}

// Both types are a string for a failure; a success is the first constructor of Maybe, and the second of Either.
void readLoadedDll(const Version& version, Reader& in, schema::LoadedDll::Builder loaded) {
  bool hasHandle = version.loadDllAnswer == LoadDllAnswer::kErrorOrHandle;
  uint8_t failure = hasHandle ? 0 : 1;
  if (in.constructor(2, hasHandle ? "Either" : "Maybe") == failure) {
    loaded.setFailed(text(in.string()));
  } else {
    loaded.setHandle(hasHandle ? in.word() : 0);
  }
}

void writeLoadedDll(const Version& version, Writer& out, schema::LoadedDll::Reader loaded) {
  bool hasHandle = version.loadDllAnswer == LoadDllAnswer::kErrorOrHandle;
  out.boolean(loaded.isHandle() == hasHandle);
  if (loaded.isFailed()) {
    out.string(view(loaded.getFailed()));
  } else if (hasHandle) {
    out.word(loaded.getHandle());
  }
}

// --- lists of things that vary in size -------------------------------------------------------------

void skip(Reader& in, capnp::Type type, const StructLayout* structure) {
  switch (type.which()) {
    case Type::TEXT:
      in.string();
      break;
    case Type::DATA:
      in.byteString();
      break;
    case Type::STRUCT:
      for (const FieldLayout& field : structure->fields) skip(in, field.type, field.structure);
      break;
    default:
      in.word();
  }
}

// True if all of a list has arrived; otherwise `in` knows what is missing or wrong. A message that arrives in many
// pieces is decoded as many times, and its builder never gives back what a list has taken. So lists of things that vary
// in size wait until they are complete.
bool hasArrived(Reader& in, const FieldLayout& field) {
  capnp::Type element = field.type.asList().getElementType();
  Reader ahead = in;
  for (uint32_t left = ahead.listLength(field.elementSize); left > 0 && ahead.ok(); --left) {
    skip(ahead, element, field.structure);
  }
  if (!ahead.ok()) in = ahead;
  return ahead.ok();
}

}  // namespace

// --- decoding --------------------------------------------------------------------------------------

void Decoder::read(capnp::DynamicStruct::Builder to, const FieldLayout& field) {
  switch (field.type.which()) {
    case Type::VOID:
      return to.set(field.field, capnp::VOID);
    case Type::BOOL:
      return to.set(field.field, in_.constructor(2, field.haskell) == 1);
    case Type::UINT64:
      return to.set(field.field, in_.word());
    case Type::INT64:
      return to.set(field.field, in_.integer());
    case Type::ENUM: {
      uint16_t number = in_.constructor(field.enumerants, field.haskell);
      return to.set(field.field, capnp::DynamicEnum(field.type.asEnum(), number));
    }
    case Type::TEXT:
      return to.set(field.field, text(in_.string()));
    case Type::DATA:
      return to.set(field.field, data(in_.byteString()));
    case Type::LIST:
      return readList(to, field);
    case Type::STRUCT:
      if (field.optional && in_.constructor(2, "Maybe") == 0) return;
      return readStruct(to.init(field.field).as<capnp::DynamicStruct>(), *field.structure);
    default:
      KJ_UNREACHABLE;  // the schema has no other types
  }
}

void Decoder::readStruct(capnp::DynamicStruct::Builder to, const StructLayout& layout) {
  if (layout.id == capnp::typeId<schema::EvalStatus::Break>()) {
    return readBreak(version_, in_, to.as<schema::EvalStatus::Break>());
  }
  if (layout.id == capnp::typeId<schema::LoadedDll>()) {
    return readLoadedDll(version_, in_, to.as<schema::LoadedDll>());
  }
  if (depth_ == kMaxDepth) return in_.fail("an expression is nested too deeply");
  ++depth_;
  for (const FieldLayout& field : layout.fields) {
    if (in_.ok()) read(to, field);
  }
  if (!layout.constructors.empty()) {
    uint8_t number = in_.constructor(static_cast<uint8_t>(layout.constructors.size()), layout.haskell);
    const auto& alternatives = layout.constructors[number];
    auto taken = std::ranges::find(alternatives, value_, &FieldLayout::name);
    if (in_.ok()) read(to, taken == alternatives.end() ? alternatives.front() : *taken);
  }
  --depth_;
}

void Decoder::readList(capnp::DynamicStruct::Builder to, const FieldLayout& field) {
  capnp::Type element = field.type.asList().getElementType();
  bool varies = element.isText() || element.isData() || element.isStruct();
  if (varies && !hasArrived(in_, field)) return;
  uint32_t length = in_.listLength(field.elementSize);
  auto list = to.init(field.field, length).as<capnp::DynamicList>();
  switch (element.which()) {
    // The long ones, not element by element through the dynamic types.
    case Type::UINT64: {
      auto words = list.as<capnp::List<uint64_t>>();
      for (uint32_t i = 0; i < length; ++i) words.set(i, in_.word());
      break;
    }
    case Type::DATA: {
      auto strings = list.as<capnp::List<capnp::Data>>();
      for (uint32_t i = 0; i < length; ++i) strings.set(i, data(in_.byteString()));
      break;
    }
    case Type::TEXT:
      for (uint32_t i = 0; i < length; ++i) list.set(i, text(in_.string()));
      break;
    case Type::ENUM:
      for (uint32_t i = 0; i < length && in_.ok(); ++i) {
        list.set(i, capnp::DynamicEnum(element.asEnum(), in_.constructor(field.enumerants, field.haskell)));
      }
      break;
    default:
      for (uint32_t i = 0; i < length && in_.ok(); ++i) {
        readStruct(list[i].as<capnp::DynamicStruct>(), *field.structure);
      }
  }
}

// --- encoding --------------------------------------------------------------------------------------

Status Encoder::write(capnp::DynamicStruct::Reader from, const FieldLayout& field) {
  if (field.type.isVoid()) return Done{};
  if (field.optional) {
    out_.boolean(from.has(field.field));
    if (!from.has(field.field)) return Done{};
  }
  auto content = from.get(field.field);
  switch (field.type.which()) {
    case Type::BOOL:
      out_.boolean(content.as<bool>());
      break;
    case Type::UINT64:
      out_.word(content.as<uint64_t>());
      break;
    case Type::INT64:
      out_.integer(content.as<int64_t>());
      break;
    case Type::ENUM:
      out_.byte(static_cast<uint8_t>(content.as<capnp::DynamicEnum>().getRaw()));
      break;
    case Type::TEXT:
      out_.string(view(content.as<capnp::Text>()));
      break;
    case Type::DATA:
      out_.byteString(bytesOf(content.as<capnp::Data>()));
      break;
    case Type::LIST:
      return writeList(content.as<capnp::DynamicList>(), field);
    default:
      return writeStruct(content.as<capnp::DynamicStruct>(), *field.structure);
  }
  return Done{};
}

Status Encoder::writeStruct(capnp::DynamicStruct::Reader from, const StructLayout& layout) {
  if (layout.id == capnp::typeId<schema::EvalStatus::Break>()) {
    writeBreak(version_, out_, from.as<schema::EvalStatus::Break>());
    return Done{};
  }
  if (layout.id == capnp::typeId<schema::LoadedDll>()) {
    writeLoadedDll(version_, out_, from.as<schema::LoadedDll>());
    return Done{};
  }
  for (const FieldLayout& field : layout.fields) {
    if (Status written = write(from, field); !written) return written;
  }
  if (layout.constructors.empty()) return Done{};
  KJ_IF_MAYBE (which, from.which()) {
    StructLayout::Place place = layout.members[which->getProto().getDiscriminantValue()];
    const auto& alternatives = layout.constructors[place.constructor];
    const FieldLayout& field = alternatives[place.alternative];
    if (alternatives.size() > 1 && field.name != value_) {
      return Error{"the interpreter's reply holds `" + std::string(field.name) + "`, not `" + std::string(value_) +
                   "`"};
    }
    out_.byte(place.constructor);
    return write(from, field);
  }
  return Error{std::string(layout.haskell) + ": a union has no such member"};
}

Status Encoder::writeList(capnp::DynamicList::Reader list, const FieldLayout& field) {
  out_.word(list.size());
  switch (field.type.asList().whichElementType()) {
    case Type::UINT64:
      for (uint64_t word : list.as<capnp::List<uint64_t>>()) out_.word(word);
      break;
    case Type::DATA:
      for (auto element : list.as<capnp::List<capnp::Data>>()) out_.byteString(bytesOf(element));
      break;
    case Type::TEXT:
      for (auto element : list) out_.string(view(element.as<capnp::Text>()));
      break;
    case Type::ENUM:
      for (auto element : list) out_.byte(static_cast<uint8_t>(element.as<capnp::DynamicEnum>().getRaw()));
      break;
    default:
      for (auto element : list) {
        Status written = writeStruct(element.as<capnp::DynamicStruct>(), *field.structure);
        if (!written) return written;
      }
  }
  return Done{};
}

}  // namespace splicehost::ghc
