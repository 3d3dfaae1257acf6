// A far end that a test plays itself, frame by frame, against the real worker.
#pragma once

#include <csignal>
#include <functional>

#include "mirror/stream.h"
#include "support/mirror_pair.h"

namespace locki::mirror::test {

class HostileFarEnd : public ::testing::Test {
 protected:
  void SetUp() override {
    (void)::signal(SIGPIPE, SIG_IGN);
    fs::create_directories(outside_.path() / "target");
    write(outside_.path() / "target/file", "outside");
    write(pair_.host() / "mine", "human");
    before_ = listing(pair_.host());
    refs_ = repository_now();
    pair_.start();
  }
  void raw(std::string_view bytes) { (void)sys::write_all(pair_.far_fd(), bytes); }
  void send(const wire::Message& message) { raw(wire::encode(message)); }
  void greet() { send(wire::FarHello{wire::kVersion, "hostile", "", ""}); }
  // An empty sandbox, as far as it says.
  void list(std::vector<wire::ListedEntry> entries, bool full = true) {
    send(wire::Entries{++generation_, full, full, true, std::move(entries)});
  }
  // The next message of that type.
  template <class T>
  std::optional<T> wait_for() {
    for (;;) {
      auto frame = decoder_.next();
      if (!frame) return std::nullopt;
      if (*frame) {
        if (auto* found = std::get_if<T>(&(*frame)->message)) return *found;
        continue;
      }
      const auto readable = sys::wait_readable(pair_.far_fd(), std::chrono::seconds(60));
      if (!readable || !*readable) return std::nullopt;
      std::uint8_t buffer[65536];
      const auto n = sys::read_some(pair_.far_fd(), buffer, sizeof buffer);
      if (!n || *n == 0) return std::nullopt;
      decoder_.feed(ByteView(buffer, *n));
    }
  }
  // The worker's answer to a request; meanwhile every message of its goes to `take`.
  std::optional<json::object> wait_while(std::int64_t request, const std::function<void(const wire::Message&)>& take) {
    const auto deadline = steady_clock::now() + std::chrono::seconds(60);
    while (steady_clock::now() < deadline) {
      if (auto answer = pair_.reply(request, seconds(0))) return answer;
      if (!sys::wait_readable(pair_.far_fd(), std::chrono::milliseconds(20)).value_or(false)) continue;
      std::uint8_t buffer[65536];
      const auto n = sys::read_some(pair_.far_fd(), buffer, sizeof buffer);
      if (!n || *n == 0) return std::nullopt;
      decoder_.feed(ByteView(buffer, *n));
      for (auto frame = decoder_.next(); frame && *frame; frame = decoder_.next()) take((*frame)->message);
    }
    return std::nullopt;
  }
  // Takes what comes in, and answers that everything is there.
  void comply(const wire::Message& message) {
    if (const auto* barrier = std::get_if<wire::Barrier>(&message)) send(wire::BarrierDone{barrier->id, generation_});
    const auto* put = std::get_if<wire::Put>(&message);
    if (put != nullptr && put->entry.kind != EntryKind::kFile) send(wire::Done{.id = put->id, .status = wire::DoneStatus::kOk});
    const auto* data = std::get_if<wire::Data>(&message);
    if (data != nullptr && (data->last || data->failed)) send(wire::Done{.id = data->id, .status = wire::DoneStatus::kOk});
  }
  void expect_violation(std::string_view reason) {
    EXPECT_EQ(pair_.wait_worker().status, kStatusViolation);
    const auto event = pair_.event("violation", seconds(1));
    ASSERT_TRUE(event);
    EXPECT_NE(event->text.find(reason), std::string::npos) << event->text;
    expect_untouched();
  }
  // Every ref and every object; no quarantine stays behind.
  std::string repository_now() const {
    std::string out = pair_.git(pair_.path("repo"), {"for-each-ref"}) + "\n" + pair_.git(pair_.path("repo"), {"count-objects", "-v"});
    for (const auto& entry : fs::directory_iterator(pair_.path("repo/.git/objects"))) {
      if (entry.path().filename().string().starts_with("tmp_")) out += "\n" + entry.path().string();
    }
    return out;
  }
  void expect_untouched() {
    EXPECT_EQ(listing(pair_.host()), before_);
    EXPECT_EQ(repository_now(), refs_);
    EXPECT_EQ(listing(outside_.path()).size(), 2u);
    EXPECT_EQ(read(outside_.path() / "target/file"), "outside");
  }

  MirrorPair pair_{false};
  sys::TemporaryDirectory outside_ =
      std::move(*sys::TemporaryDirectory::make(fs::temp_directory_path(), "locki-outside"));
  std::map<std::string, std::string> before_;
  std::string refs_;
  wire::Decoder decoder_;
  std::uint64_t generation_ = 0;
};

}  // namespace locki::mirror::test
