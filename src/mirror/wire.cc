#include "mirror/wire.h"

#include <type_traits>

namespace locki::mirror::wire {
namespace {

// One description of each message serves both directions: `fields(archive, message)` names its fields in order.
template <class A, class M>
void fields(A& a, M& m);

class Writer {
 public:
  void u8(std::uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void number(std::uint64_t v, int bytes) {
    for (int i = 0; i < bytes; ++i) u8(static_cast<std::uint8_t>(v >> (8 * i)));
  }
  void field(const std::uint32_t& v) { number(v, 4); }
  void field(const std::uint64_t& v) { number(v, 8); }
  void field(const bool& v) { u8(v ? 1 : 0); }
  void field(const DoneStatus& v) { u8(static_cast<std::uint8_t>(v)); }
  void field(const Hash& v) { out_.append(as_text(v.bytes)); }
  void field(const std::string& v, std::size_t) {
    number(v.size(), 4);
    out_ += v;
  }
  void field(const Entry& v) {
    u8(static_cast<std::uint8_t>(v.kind));
    field(v.executable);
    field(v.size);
    field(v.content);
    field(v.target, path_limit);
  }
  void field(const std::optional<Entry>& v) {
    field(v.has_value());
    if (v) field(*v);
  }
  template <class T, class F>
  void list(const std::vector<T>& items, F each) {
    number(items.size(), 4);
    for (const T& item : items) each(item);
  }
  std::string take() { return std::move(out_); }

  static constexpr std::size_t path_limit = kMaxPathBytes;

 private:
  std::string out_;
};

class Reader {
 public:
  explicit Reader(ByteView in) : in_(in) {}

  std::uint64_t number(int bytes) {
    if (!need(static_cast<std::size_t>(bytes))) return 0;
    std::uint64_t v = 0;
    for (int i = 0; i < bytes; ++i) v |= static_cast<std::uint64_t>(in_[at_ + static_cast<std::size_t>(i)]) << (8 * i);
    at_ += static_cast<std::size_t>(bytes);
    return v;
  }
  void field(std::uint32_t& v) { v = static_cast<std::uint32_t>(number(4)); }
  void field(std::uint64_t& v) { v = number(8); }
  void field(bool& v) {
    const auto raw = number(1);
    if (raw > 1) broken("a truth value that is neither 0 nor 1");
    v = raw == 1;
  }
  void field(DoneStatus& v) {
    const auto raw = number(1);
    if (raw > static_cast<std::uint8_t>(DoneStatus::kClash)) broken("an unknown status");
    v = static_cast<DoneStatus>(raw);
  }
  void field(Hash& v) {
    if (!need(v.bytes.size())) return;
    std::copy_n(in_.begin() + static_cast<std::ptrdiff_t>(at_), v.bytes.size(), v.bytes.begin());
    at_ += v.bytes.size();
  }
  void field(std::string& v, std::size_t limit) {
    const auto size = static_cast<std::size_t>(number(4));
    if (size > limit) return broken("a string that is too long");
    if (!need(size)) return;
    v.assign(as_text(in_.subspan(at_, size)));
    at_ += size;
  }
  void field(Entry& v) {
    const auto kind = number(1);
    if (kind < 1 || kind > 3) return broken("an unknown kind of entry");
    v.kind = static_cast<EntryKind>(kind);
    field(v.executable);
    field(v.size);
    field(v.content);
    field(v.target, kMaxPathBytes);
  }
  void field(std::optional<Entry>& v) {
    bool there = false;
    field(there);
    if (there) field(v.emplace());
  }
  template <class T, class F>
  void list(std::vector<T>& items, F each) {
    const auto count = static_cast<std::size_t>(number(4));
    if (count > kMaxListed) return broken("a list that is too long");
    for (std::size_t i = 0; i < count && !why_; ++i) each(items.emplace_back());
  }

  Result<> finish() const {
    if (why_) return fail(ErrorKind::kProtocol, std::string("a frame holds ") + why_);
    if (at_ != in_.size()) return fail(ErrorKind::kProtocol, "a frame is longer than its message");
    return {};
  }

  static constexpr std::size_t path_limit = kMaxPathBytes;

 private:
  bool need(std::size_t bytes) {
    if (why_) return false;
    if (in_.size() - at_ >= bytes) return true;
    broken("less than its message needs");
    return false;
  }
  void broken(const char* why) {
    if (!why_) why_ = why;
    at_ = in_.size();
  }

  ByteView in_;
  std::size_t at_ = 0;
  const char* why_ = nullptr;
};

template <class A, class M>
void fields(A& a, M& m) {
  using T = std::remove_const_t<M>;
  if constexpr (std::is_same_v<T, Data>) {
    a.field(m.id), a.field(m.last), a.field(m.failed), a.field(m.bytes, kMaxData);
  } else if constexpr (std::is_same_v<T, Credit>) {
    a.field(m.bytes);
  } else if constexpr (std::is_same_v<T, HostHello>) {
    a.field(m.version), a.field(m.root, kMaxPathBytes), a.field(m.branch, kMaxName), a.field(m.object_format, kMaxName);
    a.field(m.user_name, kMaxName), a.field(m.user_email, kMaxName), a.field(m.flags);
  } else if constexpr (std::is_same_v<T, Known>) {
    a.field(m.last), a.list(m.paths, [&](auto& path) { a.field(path, kMaxPathBytes); });
  } else if constexpr (std::is_same_v<T, Rescan>) {
  } else if constexpr (std::is_same_v<T, Fetch>) {
    a.field(m.id), a.field(m.path, kMaxPathBytes), a.field(m.content);
  } else if constexpr (std::is_same_v<T, Put>) {
    a.field(m.id), a.field(m.path, kMaxPathBytes), a.field(m.entry), a.field(m.expected);
  } else if constexpr (std::is_same_v<T, Remove>) {
    a.field(m.id), a.field(m.path, kMaxPathBytes), a.field(m.expected);
  } else if constexpr (std::is_same_v<T, Barrier> || std::is_same_v<T, ListBranches>) {
    a.field(m.id);
  } else if constexpr (std::is_same_v<T, GitFetch>) {
    a.field(m.id);
    for (auto* oids : {&m.wants, &m.haves}) a.list(*oids, [&](auto& oid) { a.field(oid, kMaxName); });
  } else if constexpr (std::is_same_v<T, GitPack>) {
    a.field(m.id), a.field(m.new_oid, kMaxName), a.field(m.old_oid, kMaxName), a.field(m.agreed_oid, kMaxName);
  } else if constexpr (std::is_same_v<T, Note> || std::is_same_v<T, Problem>) {
    a.field(m.text, kMaxText);
  } else if constexpr (std::is_same_v<T, Flush>) {
    a.field(m.id), a.field(m.mark, kMaxName);
  } else if constexpr (std::is_same_v<T, Bye>) {
    a.field(m.reason, kMaxText);
  } else if constexpr (std::is_same_v<T, FarHello>) {
    a.field(m.version), a.field(m.program, kMaxText), a.field(m.boot, kMaxName), a.field(m.mark, kMaxName);
  } else if constexpr (std::is_same_v<T, Entries>) {
    a.field(m.generation), a.field(m.full), a.field(m.first), a.field(m.last);
    a.list(m.entries, [&](auto& item) { a.field(item.path, kMaxPathBytes), a.field(item.entry); });
  } else if constexpr (std::is_same_v<T, Content>) {
    a.field(m.id), a.field(m.size);
  } else if constexpr (std::is_same_v<T, ContentGone>) {
    a.field(m.id);
  } else if constexpr (std::is_same_v<T, Done>) {
    a.field(m.id), a.field(m.status), a.field(m.actual), a.field(m.message, kMaxText), a.field(m.replayed);
  } else if constexpr (std::is_same_v<T, BarrierDone>) {
    a.field(m.id), a.field(m.generation);
  } else if constexpr (std::is_same_v<T, Head>) {
    a.field(m.current, kMaxText), a.field(m.oid, kMaxName), a.field(m.other_refs);
  } else if constexpr (std::is_same_v<T, Pack>) {
    a.field(m.id), a.field(m.oid, kMaxName);
  } else if constexpr (std::is_same_v<T, Branches>) {
    a.field(m.id), a.field(m.more), a.field(m.stashes);
    a.list(m.branches, [&](auto& item) { a.field(item.name, kMaxName), a.field(item.oid, kMaxName); });
  } else {
    static_assert(!sizeof(T), "a message without fields()");
  }
}

// In the order of Message's alternatives.
constexpr Type kTypes[] = {
    Type::kData,     Type::kCredit,  Type::kHostHello,   Type::kKnown,       Type::kRescan,  Type::kFetch,
    Type::kPut,      Type::kRemove,  Type::kBarrier,     Type::kGitFetch,    Type::kGitPack, Type::kNote,
    Type::kBye,      Type::kListBranches, Type::kFlush, Type::kFarHello, Type::kEntries,   Type::kContent, Type::kContentGone,
    Type::kDone,     Type::kBarrierDone,  Type::kHead,     Type::kPack,      Type::kProblem, Type::kBranches};
static_assert(std::size(kTypes) == std::variant_size_v<Message>);

Type type_of(const Message& message) { return kTypes[message.index()]; }

// The message with this type's number, default-made.
template <std::size_t I = 0>
std::optional<Message> blank(std::uint8_t type) {
  if constexpr (I == std::variant_size_v<Message>) {
    return std::nullopt;
  } else {
    if (static_cast<std::uint8_t>(kTypes[I]) == type) return Message(std::in_place_index<I>);
    return blank<I + 1>(type);
  }
}

}  // namespace

std::string encode(const Message& message) {
  Writer payload;
  std::visit([&](const auto& m) { fields(payload, m); }, message);
  const std::string body = payload.take();
  Writer header;
  header.number(body.size(), 4);
  header.u8(static_cast<std::uint8_t>(type_of(message)));
  return header.take() + body;
}

Result<Message> decode(std::uint8_t type, ByteView payload) {
  if (payload.size() > kMaxPayload) return fail(ErrorKind::kProtocol, "a frame is larger than agreed");
  auto message = blank(type);
  if (!message) return fail(ErrorKind::kProtocol, "a frame of unknown type " + std::to_string(type));
  Reader reader(payload);
  std::visit([&](auto& m) { fields(reader, m); }, *message);
  TRY(reader.finish());
  return std::move(*message);
}

bool from_host(const Message& message) { return type_of(message) < Type::kFarHello; }

bool from_far(const Message& message) {
  return type_of(message) < Type::kHostHello || type_of(message) >= Type::kFarHello;
}

std::int64_t credit_cost(const Message& message, std::size_t payload_size) {
  const bool costs = std::holds_alternative<Data>(message) || std::holds_alternative<Entries>(message);
  return costs ? static_cast<std::int64_t>(payload_size) : 0;
}

void Decoder::feed(ByteView bytes) {
  if (broken_) return;
  if (start_ > 0 && (start_ == buffer_.size() || start_ >= kMaxPayload)) {
    buffer_.erase(0, start_);
    start_ = 0;
  }
  buffer_.append(as_text(bytes));
}

Result<std::optional<Frame>> Decoder::next() {
  if (broken_) return fail(ErrorKind::kProtocol, "the stream is broken");
  const std::size_t there = buffer_.size() - start_;
  if (there < kHeaderSize) return std::nullopt;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(buffer_[start_ + i]); };
  const std::size_t size = static_cast<std::size_t>(byte(0)) | static_cast<std::size_t>(byte(1)) << 8 |
                           static_cast<std::size_t>(byte(2)) << 16 | static_cast<std::size_t>(byte(3)) << 24;
  if (size > kMaxPayload) {
    broken_ = true;
    return fail(ErrorKind::kProtocol, "a frame is larger than agreed");
  }
  if (there < kHeaderSize + size) return std::nullopt;
  auto message = decode(byte(4), as_bytes(std::string_view(buffer_).substr(start_ + kHeaderSize, size)));
  if (!message) {
    broken_ = true;
    return fail(std::move(message).error());
  }
  start_ += kHeaderSize + size;
  return Frame{std::move(*message), size};
}

std::vector<Entries> split_entries(std::uint64_t generation, bool full, const std::vector<Change>& changes) {
  constexpr std::size_t kFixed = 64;  // numbers, flags and lengths of one entry, rounded up
  std::vector<Entries> frames(1);
  std::size_t size = 0;
  for (const Change& change : changes) {
    const std::size_t cost = kFixed + change.path.size() + (change.entry ? change.entry->target.size() : 0);
    if (frames.back().entries.size() == kMaxListed || size + cost > kMaxPayload / 2) {
      frames.emplace_back();
      size = 0;
    }
    size += cost;
    frames.back().entries.push_back({change.path, change.entry});
  }
  for (Entries& frame : frames) {
    frame.generation = generation;
    frame.full = full;
  }
  frames.front().first = true;
  frames.back().last = true;
  return frames;
}

}  // namespace locki::mirror::wire
