// Runs a board's model and puts its serial line onto a pseudo-terminal.
//
// Its output is a line with the path of the terminal, and a line of JSON at the end and whenever
// SIGUSR1 comes. It ends by SIGINT or SIGTERM, when the pipe that is its standard input closes,
// and with --once when the terminal is closed.

#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include "Vboard.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

using Clock = std::chrono::steady_clock;

// Seconds from power to the first byte: longer than a reset, in which a design hears nothing.
constexpr double kSettling = 1e-3;
// Seconds in which a board that neither hears nor says anything still runs at full speed.
constexpr double kPatience = 10e-3;

volatile std::sig_atomic_t ending = 0;
volatile std::sig_atomic_t asked = 0;

void on_signal(int number) { (number == SIGUSR1 ? asked : ending) = 1; }

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    std::exit(1);
}

// The side of a pseudo-terminal that a device has.
class Terminal {
public:
    Terminal() : fd_(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK)) {
        termios raw{};
        if (fd_ < 0 || grantpt(fd_) || unlockpt(fd_) || tcgetattr(fd_, &raw))
            fail("there is no pseudo-terminal to be had");
        cfmakeraw(&raw);
        tcsetattr(fd_, TCSANOW, &raw);
    }

    const char* path() const { return ptsname(fd_); }

    // Whether the other side was opened and is closed again.
    bool closed() const { return closed_; }

    // What has been written on the other side.
    void read(std::vector<uint8_t>& bytes) {
        bytes.resize(4096);
        const ssize_t size = ::read(fd_, bytes.data(), bytes.size());
        closed_ = size < 0 && errno == EIO;
        bytes.resize(size < 0 ? 0 : size);
    }

    // Writes what it takes now and leaves the rest; what nobody listens to is lost, as on a cable.
    void write(std::vector<uint8_t>& bytes) {
        if (bytes.empty()) return;
        const ssize_t size = ::write(fd_, bytes.data(), bytes.size());
        if (size > 0)
            bytes.erase(bytes.begin(), bytes.begin() + size);
        else if (size < 0 && errno == EIO)
            bytes.clear();
    }

    // Sleeps until the terminal can be read or written or the time is over.
    void wait(short events, std::chrono::nanoseconds time) {
        // A closed one would not let us sleep.
        pollfd files[] = {{closed_ ? -1 : fd_, events, 0}, {STDIN_FILENO, 0, 0}};
        const timespec limit = {time.count() / 1000000000, time.count() % 1000000000};
        ppoll(files, 2, &limit, nullptr);
        if (files[1].revents & POLLHUP) ending = 1;
    }

private:
    int fd_;
    bool closed_ = false;
};

// Bytes onto the line to the board, without a gap.
class Sender {
public:
    explicit Sender(unsigned divisor) : divisor_(divisor) {}

    bool idle() const { return bits_ == 0 && next_ == bytes.size(); }
    bool empty() const { return next_ == bytes.size(); }

    // The line's level in the next cycle.
    bool level() {
        if (left_ == 0) {
            if (bits_ > 0) {
                frame_ >>= 1;
                --bits_;
            }
            if (bits_ == 0) {
                if (empty()) return true;
                frame_ = 0x200 | bytes[next_++] << 1;
                bits_ = 10;
                ++sent;
            }
            left_ = divisor_;
        }
        --left_;
        return frame_ & 1;
    }

    void fill(Terminal& terminal) {
        next_ = 0;
        terminal.read(bytes);
    }

    std::vector<uint8_t> bytes;
    uint64_t sent = 0;

private:
    unsigned divisor_, left_ = 0, bits_ = 0, frame_ = 1;
    size_t next_ = 0;
};

// Bytes from the line that the board drives, each bit taken in its middle.
class Receiver {
public:
    explicit Receiver(unsigned divisor) : divisor_(divisor) {}

    bool idle() const { return bits_ == 0; }

    void take(bool level) {
        if (bits_ == 0) {
            if (!level) {
                bits_ = 10;
                left_ = divisor_ / 2;
            }
        } else if (--left_ == 0) {
            left_ = divisor_;
            --bits_;
            frame_ = frame_ >> 1 | level << 9;
            if (bits_ == 9 && level) bits_ = 0;  // no start bit
            if (bits_ == 0 && level && !(frame_ & 1)) {
                bytes.push_back(frame_ >> 1);
                ++received;
            }
        }
    }

    std::vector<uint8_t> bytes;
    uint64_t received = 0;

private:
    unsigned divisor_, left_ = 0, bits_ = 0, frame_ = 0;
};

// A serial NOR flash of 16 MiB that begins in deep power-down, as an iCE40 leaves it after
// configuration. Commands, delay and identity: Winbond, W25Q128JV data sheet. Modes 0 and 3.
class Flash {
public:
    Flash(const std::string& path, double hertz) : release_(std::ceil(hertz * kRelease)) {
        std::ifstream file(path, std::ios::binary);
        if (!file) fail(path + " cannot be read");
        data_.assign(std::istreambuf_iterator<char>(file), {});
        if (data_.size() > kSize) fail(path + " is larger than the flash's 16 MiB");
    }

    // The level of its output, after the board has set its inputs in a cycle.
    bool level(bool deselected, bool clock, bool in, uint64_t cycle) {
        if (deselected) {
            if (bits_ % 8 == 0 && bits_ && command_ == kReleaseDown && asleep_) {
                asleep_ = false;
                awake_ = cycle + release_;
            }
            bits_ = 0;
            out_ = true;  // as a pull-up has it
        } else if (clock && !clock_) {
            shift_ = shift_ << 1 | in;
            ++bits_;
            if (bits_ == 8) {
                command_ = shift_;
                heard_ = asleep_ ? command_ == kReleaseDown : cycle >= awake_;
            } else if (bits_ == 32) {
                address_ = shift_ & (kSize - 1);
            }
        } else if (!clock && clock_ && heard_ && bits_ >= 8) {
            out_ = bit(bits_);
        }
        clock_ = clock;
        return out_;
    }

private:
    static constexpr uint32_t kSize = 1 << 24;
    static constexpr uint8_t kRead = 0x03, kFastRead = 0x0b, kReleaseDown = 0xab, kIdentify = 0x9f;
    static constexpr uint32_t kIdentity = 0xef4018;
    static constexpr double kRelease = 3e-6;  // tRES1

    // The bit that follows so many bits from the board.
    bool bit(uint64_t bits) const {
        const unsigned first = command_ == kIdentify ? 8 : command_ == kRead ? 32 : 40;
        if (bits < first) return true;
        const uint64_t k = bits - first;
        switch (command_) {
        case kIdentify:
            return kIdentity >> (23 - k % 24) & 1;
        case kRead:
        case kFastRead: {
            const uint64_t place = (address_ + k / 8) % kSize;
            return (place < data_.size() ? data_[place] : 0xff) >> (7 - k % 8) & 1;
        }
        default:
            return true;
        }
    }

    std::vector<uint8_t> data_;
    uint64_t release_, awake_ = 0, bits_ = 0;
    uint32_t shift_ = 0, address_ = 0;
    uint8_t command_ = 0;
    bool asleep_ = true, heard_ = false, clock_ = false, out_ = true;
};

class Board {
public:
    Board(unsigned divisor, double hertz, const std::string& trace, const std::string& flash)
        : sender(divisor), receiver(divisor), half_period_(0.5e12 / hertz) {
        if (!flash.empty()) flash_ = std::make_unique<Flash>(flash, hertz);
        // What a design does not initialise begins with anything, the same each time.
        context_.randReset(2);
        context_.randSeed(1);
        model_ = std::make_unique<Vboard>(&context_, "board");
#if VM_TRACE
        context_.traceEverOn(true);
        trace_ = std::make_unique<VerilatedVcdC>();
        model_->trace(trace_.get(), 99);
        trace_->open(trace.c_str());
        if (!trace_->isOpen()) fail(trace + " cannot be written");
#endif
    }

    ~Board() {
        model_->final();
#if VM_TRACE
        trace_->close();
#endif
    }

    void run(uint64_t count) {
        for (; count; --count, ++cycles) {
            model_->rx = sender.level();
            model_->clock = 0;
            evaluate(0);
            model_->clock = 1;
            evaluate(1);
            receiver.take(model_->tx);
        }
    }

    bool spike() const { return model_->spike; }
    bool error() const { return model_->error; }

    Sender sender;
    Receiver receiver;
    uint64_t cycles = 0;

private:
    void evaluate(unsigned half) {
        model_->eval();
        if (flash_)
            model_->flash_cipo = flash_->level(
                model_->flash_cs_n, model_->flash_clk, model_->flash_copi, cycles);
#if VM_TRACE
        trace_->dump(static_cast<uint64_t>((2 * cycles + half) * half_period_));
#endif
    }

    VerilatedContext context_;
    std::unique_ptr<Vboard> model_;
    std::unique_ptr<Flash> flash_;
    double half_period_;  // in ps, the unit of the waveforms
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace_;
#endif
};

// The board beside its terminal.
class Desk {
public:
    Desk(Board& board, double hertz, bool once)
        : board_(board), once_(once), patience_(hertz * kPatience) {}

    const char* path() const { return terminal_.path(); }

    void run() {
        while (!ending) {
            if (board_.sender.empty()) board_.sender.fill(terminal_);
            if (once_ && terminal_.closed()) break;
            const auto start = Clock::now();
            std::vector<uint8_t>& heard = board_.receiver.bytes;
            if (heard.empty()) board_.run(kCycles);
            const auto work = Clock::now() - start;
            busy_ += work;
            terminal_.write(heard);
            notice();
            // A quiet board may yet be computing: it goes on at a fifth of the speed.
            const bool quiet = board_.cycles - active_ > patience_;
            if (heard.empty())
                terminal_.wait(POLLIN, quiet ? 4 * work : Clock::duration::zero());
            else  // time stands still
                terminal_.wait(POLLOUT, std::chrono::milliseconds(20));
            if (asked) {
                asked = 0;
                report();
            }
        }
    }

    void report() const {
        std::printf(
            "{\"cycles\": %llu, \"seconds\": %.6f, \"bytes_in\": %llu, \"bytes_out\": %llu,"
            " \"spike\": %s, \"error\": %s}\n",
            static_cast<unsigned long long>(board_.cycles),
            std::chrono::duration<double>(busy_).count(),
            static_cast<unsigned long long>(board_.sender.sent),
            static_cast<unsigned long long>(board_.receiver.received),
            board_.spike() ? "true" : "false", board_.error() ? "true" : "false");
        std::fflush(stdout);
    }

private:
    // Cycles between two looks at the terminal: no more than some bytes of the line.
    static constexpr unsigned kCycles = 512;

    void notice() {
        const bool spike = board_.spike();
        if (!board_.sender.idle() || !board_.receiver.idle() || spike != spike_)
            active_ = board_.cycles;
        spike_ = spike;
    }

    Board& board_;
    Terminal terminal_;
    bool once_, spike_ = false;
    uint64_t patience_, active_ = 0;
    Clock::duration busy_{};
};

}  // namespace

int main(int count, char** arguments) {
    if (count != 6) fail("arguments: DIVISOR HZ ONCE TRACE FLASH");
    struct sigaction action {};
    action.sa_handler = on_signal;
    for (int number : {SIGINT, SIGTERM, SIGUSR1}) sigaction(number, &action, nullptr);
    const double hertz = std::strtod(arguments[2], nullptr);
    Board board(std::strtoul(arguments[1], nullptr, 10), hertz, arguments[4], arguments[5]);
    board.run(hertz * kSettling);
    Desk desk(board, hertz, arguments[3][0] == '1');
    std::printf("%s\n", desk.path());
    std::fflush(stdout);
    desk.run();
    desk.report();
}
