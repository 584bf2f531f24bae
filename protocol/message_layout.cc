#include "protocol/message_layout.h"

#include <kj/debug.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace splicehost {

namespace {

using Type = capnp::schema::Type;

// As in interpreter.capnp. (capnp's generated code does not name annotations.)
constexpr uint64_t kReply = 0xb4d2f0c3a1e85d17;
constexpr uint64_t kConstructor = 0xc2f81d4e6b9a0735;
constexpr uint64_t kValue = 0x9f6f1be0d7c24a35;
constexpr uint64_t kAlternative = 0xe2c8a6b95f13d078;
constexpr uint64_t kEvaluated = 0xd5a7c41b08f3962e;
constexpr uint64_t kStatement = 0xa81e3d5c7f9b2064;
constexpr uint64_t kAsks = 0xc3907be26a4d81f5;
constexpr uint64_t kReference = 0x8ec5d90a3b7f1642;
constexpr uint64_t kSubject = 0xf0b13a6de84c7925;
constexpr uint64_t kOptional = 0x97d42c8f5be016a3;
constexpr uint64_t kHaskell = 0xbb60e7194ad3c58f;

// What is said of a type or field. The texts are in the program's constant data.
struct Said {
  explicit Said(capnp::List<capnp::schema::Annotation>::Reader annotations) {
    for (auto annotation : annotations) {
      switch (annotation.getId()) {
        case kReply:
          reply = annotation.getValue().getText();
          break;
        case kConstructor:
          constructor = annotation.getValue().getText().cStr();
          break;
        case kValue:
          value = annotation.getValue().getText().cStr();
          break;
        case kHaskell:
          haskell = annotation.getValue().getText().cStr();
          break;
        case kAlternative:
          alternative = true;
          break;
        case kEvaluated:
          evaluated = true;
          break;
        case kStatement:
          statement = true;
          break;
        case kAsks:
          asks = true;
          break;
        case kReference:
          reference = true;
          break;
        case kSubject:
          subject = true;
          break;
        case kOptional:
          optional = true;
          break;
      }
    }
  }

  kj::StringPtr reply;
  const char* constructor = "";
  const char* value = "";
  const char* haskell = nullptr;
  bool alternative = false, evaluated = false, statement = false, asks = false;
  bool reference = false, subject = false, optional = false;
};

class Layouts {
 public:
  struct Message {
    FieldLayout layout;
    RequestKind kind;  // of a request
  };

  const Message& request(uint16_t number) {
    return find(requests_, number, [&](capnp::StructSchema::Field field, const Said& said) {
      auto answer = replies_.schema.getFieldByName(said.reply).getProto().getDiscriminantValue();
      return RequestKind{field.getProto().getName().cStr(),
                         said.constructor,
                         static_cast<schema::Reply::Which>(answer),
                         said.value,
                         said.evaluated,
                         said.statement,
                         said.asks};
    });
  }
  const Message& reply(uint16_t number) {
    return find(replies_, number, [](capnp::StructSchema::Field, const Said&) { return RequestKind{}; });
  }

  void readAll() {
    for (uint16_t i = 0; i < requests_.messages.size(); ++i) request(i);
    for (uint16_t i = 0; i < replies_.messages.size(); ++i) reply(i);
  }

 private:
  // A union whose members are messages; these are by number.
  struct Messages {
    explicit Messages(capnp::StructSchema schema) : schema(schema), messages(schema.getUnionFields().size()) {}

    capnp::StructSchema schema;
    std::vector<std::atomic<const Message*>> messages;
    std::deque<Message> read;
  };

  std::mutex mutex_;
  std::map<uint64_t, std::unique_ptr<StructLayout>> layouts_;
  Messages requests_{capnp::Schema::from<schema::Request>()};
  Messages replies_{capnp::Schema::from<schema::Reply>()};

  template <typename Kind>
  const Message& find(Messages& all, uint16_t number, Kind&& kindOf) {
    if (const Message* known = all.messages[number].load(std::memory_order_acquire)) return *known;
    std::lock_guard lock(mutex_);
    if (const Message* known = all.messages[number].load()) return *known;
    auto field = all.schema.getUnionFields()[number];
    all.read.push_back({fieldOf(field), kindOf(field, Said(field.getProto().getAnnotations()))});
    noteReferences();
    all.messages[number].store(&all.read.back(), std::memory_order_release);
    return all.read.back();
  }

  // A struct that holds itself is not complete when it is first asked.
  void noteReferences() {
    for (bool changed = true; changed;) {
      changed = false;
      for (auto& [id, layout] : layouts_) {
        if (layout->hasReferences || !holdsReferences(*layout)) continue;
        layout->hasReferences = changed = true;
      }
    }
  }

  const StructLayout& layoutOf(capnp::StructSchema schema) {
    auto proto = schema.getProto();
    auto [entry, isNew] = layouts_.try_emplace(proto.getId());
    if (!isNew) return *entry->second;
    entry->second = std::make_unique<StructLayout>();
    StructLayout& layout = *entry->second;
    layout.id = proto.getId();
    layout.haskell = nameOf(schema);
    auto members = schema.getUnionFields();
    if (members.size() == 0) {
      layout.fields.reserve(schema.getFields().size());
      for (auto field : schema.getFields()) layout.fields.push_back(fieldOf(field));
      return layout;
    }
    KJ_REQUIRE(schema.getNonUnionFields().size() == 0, "a struct is a sum or a product", layout.haskell);
    layout.constructors.reserve(members.size());
    layout.members.reserve(members.size());
    std::optional<uint8_t> alternatives;
    for (auto field : members) {
      bool isAlternative = Said(field.getProto().getAnnotations()).alternative;
      auto last = static_cast<uint8_t>(layout.constructors.size());
      uint8_t constructor = isAlternative ? alternatives.value_or(last) : last;
      if (isAlternative) alternatives = constructor;
      if (constructor == last) layout.constructors.emplace_back();
      layout.members.push_back({constructor, static_cast<uint8_t>(layout.constructors[constructor].size())});
      layout.constructors[constructor].push_back(fieldOf(field));
    }
    return layout;
  }

  FieldLayout fieldOf(capnp::StructSchema::Field field) {
    auto proto = field.getProto();
    Said said(proto.getAnnotations());
    FieldLayout layout{field, proto.getName().cStr(), field.getType()};
    layout.reference = said.reference;
    layout.subject = said.subject;
    layout.optional = said.optional;
    capnp::Type type = layout.type;
    if (type.isList()) type = type.asList().getElementType();
    const char* name = "Bool";
    if (type.isStruct()) {
      layout.structure = &layoutOf(type.asStruct());
      name = layout.structure->haskell;
    }
    if (type.isEnum()) {
      layout.enumerants = static_cast<uint8_t>(type.asEnum().getEnumerants().size());
      name = nameOf(type.asEnum());
    }
    layout.haskell = said.haskell != nullptr ? said.haskell : name;
    if (layout.type.isList()) layout.elementSize = smallest(type, layout.structure);
    return layout;
  }

  static const char* nameOf(capnp::Schema type) {
    const char* haskell = Said(type.getProto().getAnnotations()).haskell;
    return haskell != nullptr ? haskell : type.getShortDisplayName().cStr();
  }

  // How few bytes a value takes in GHC's encoding.
  static uint64_t smallest(capnp::Type type, const StructLayout* structure) {
    switch (type.which()) {
      case Type::BOOL:
      case Type::ENUM:
        return 1;
      case Type::STRUCT: {
        uint64_t sum = structure->constructors.empty() ? 0 : 1;
        for (const FieldLayout& field : structure->fields) sum += smallest(field.type, field.structure);
        return sum;
      }
      default:
        return 8;
    }
  }

  static bool holdsReferences(const StructLayout& layout) {
    auto holds = [](const FieldLayout& field) {
      return field.reference || (field.structure != nullptr && field.structure->hasReferences);
    };
    return std::ranges::any_of(layout.fields, holds) ||
           std::ranges::any_of(layout.constructors,
                               [&](const auto& members) { return std::ranges::any_of(members, holds); });
  }
};

Layouts& layouts() {
  static Layouts all;
  return all;
}

}  // namespace

const FieldLayout& layoutOf(schema::Request::Which which) { return layouts().request(which).layout; }
const FieldLayout& layoutOf(schema::Reply::Which which) { return layouts().reply(which).layout; }
const RequestKind& kindOf(schema::Request::Which which) { return layouts().request(which).kind; }
void readAllLayouts() { layouts().readAll(); }

}  // namespace splicehost
