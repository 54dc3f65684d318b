// Plays samples into a design and flips bits of it; see upset_player.py, which writes what is read.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "dut.cc"

using namespace std;
typedef vector<uint32_t> Word;

struct Flip { long cycle; size_t part, word, bit; };
struct Trial { long number, sample, after; vector<Flip> flips; };
struct Part { string name; cxxrtl::debug_item item; };
struct Source { string name; vector<vector<Word>> samples; cxxrtl::debug_item *payload, *valid, *ready; };
struct Sink {
    string name;
    vector<vector<Word>> samples;
    cxxrtl::debug_item *payload, *valid, *ready;
    size_t kind, kind_bits, address, address_bits, count, count_bits, is_signed, tick;
};

static cxxrtl_design::p_dut dut;
static cxxrtl::debug_items items;
static long patience, samples, steps;
static vector<string> alarms;
static vector<bool> alarmed;
static vector<Source> sources;
static vector<Sink> sinks;
static vector<Part> parts;

static cxxrtl::debug_item *item(const string &name) { return &items.table.at(name).at(0); }

static Word parsed(const string &text) {
    Word word((text.size() + 7) / 8);
    for (size_t k = 0; k < word.size(); k++) {
        size_t end = text.size() - 8 * k, begin = end < 8 ? 0 : end - 8;
        word[k] = stoul(text.substr(begin, end - begin), nullptr, 16);
    }
    return word;
}

static vector<Word> words(istream &in) {
    size_t length;
    in >> length;
    vector<Word> found(length);
    string text;
    for (auto &each : found) { in >> text; each = parsed(text); }
    return found;
}

static void put(cxxrtl::debug_item *place, const Word &word) {
    for (size_t k = 0; k < (place->width + 31) / 32; k++) place->next[k] = k < word.size() ? word[k] : 0;
}

static Word get(const cxxrtl::debug_item *place) {
    return Word(place->curr, place->curr + (place->width + 31) / 32);
}

static bool high(const cxxrtl::debug_item *place) { return place->curr[0] & 1; }

static uint64_t field(const Word &word, size_t offset, size_t bits) {
    uint64_t value = 0;
    for (size_t k = 0; k < bits; k++)
        if ((offset + k) / 32 < word.size() && word[(offset + k) / 32] >> ((offset + k) % 32) & 1)
            value |= uint64_t(1) << k;
    return value;
}

static bool same(const Word &a, const Word &b) {
    for (size_t k = 0; k < std::max(a.size(), b.size()); k++)
        if ((k < a.size() ? a[k] : 0) != (k < b.size() ? b[k] : 0)) return false;
    return true;
}

static void level(bool value) {
    dut.p_clk.set<bool>(value);
    dut.step();
}

static void reset() {
    dut.p_rst.set<bool>(true);
    for (auto &each : sources) each.valid->next[0] = 0;
    for (int k = 0; k < 2; k++) { level(false); level(true); }
    dut.p_rst.set<bool>(false);
}

static void load(const vector<Word> &weights) {
    if (weights.empty()) return;
    auto payload = item("load__payload"), valid = item("load__valid"), ready = item("load__ready");
    valid->next[0] = 1;
    for (auto &weight : weights) {
        put(payload, weight);
        bool taken = false;
        while (!taken) { level(false); taken = high(ready); level(true); }
    }
    valid->next[0] = 0;
}

static void flip(const Flip &each) {
    auto &found = parts[each.part].item;
    size_t chunk = each.word * ((found.width + 31) / 32) + each.bit / 32;
    uint32_t mask = uint32_t(1) << (each.bit % 32);
    found.curr[chunk] ^= mask;
    if (found.type == cxxrtl::debug_item::WIRE) found.next[chunk] ^= mask;
}

struct End { string how; long cycles, decision; };

static long largest(const Sink &sink, const vector<Word> &seen) {
    vector<int64_t> sums(size_t(1) << std::min<size_t>(sink.address_bits, 24));
    for (auto &word : seen) {
        if (field(word, sink.kind, sink.kind_bits) != 0) continue;
        int64_t count = field(word, sink.count, sink.count_bits);
        if (sink.is_signed && count >> (sink.count_bits - 1) & 1) count -= int64_t(1) << sink.count_bits;
        sums[field(word, sink.address, sink.address_bits) % sums.size()] += count;
    }
    long best = 0;
    for (size_t k = 1; k < sums.size(); k++) if (sums[k] > sums[best]) best = k;
    return best;
}

// Plays a sample; `before` is called before each cycle.
template <class Before> static End play(long sample, Before before) {
    vector<size_t> sent(sources.size());
    vector<vector<Word>> seen(sinks.size());
    vector<long> ticks(sinks.size());
    for (long cycle = 0, idle = 0;; cycle++, idle++) {
        before(cycle);
        bool done = true;
        for (auto count : ticks) done = done && count >= steps;
        if (done || idle > patience) {
            bool equal = done;
            for (size_t k = 0; equal && k < sinks.size(); k++) {
                auto &golden = sinks[k].samples[sample];
                equal = seen[k].size() == golden.size();
                for (size_t j = 0; equal && j < golden.size(); j++) equal = same(seen[k][j], golden[j]);
            }
            for (size_t k = 0; k < alarms.size(); k++)
                if (high(item(alarms[k]))) alarmed[k] = true;
            return {!done ? "hung" : equal ? "equal" : "wrong", cycle, done ? largest(sinks[0], seen[0]) : -1};
        }
        for (size_t k = 0; k < sources.size(); k++) {
            auto &queue = sources[k].samples[sample];
            sources[k].valid->next[0] = sent[k] < queue.size();
            if (sent[k] < queue.size()) put(sources[k].payload, queue[sent[k]]);
        }
        for (size_t k = 0; k < sinks.size(); k++) sinks[k].ready->next[0] = ticks[k] < steps;
        level(false);
        for (size_t k = 0; k < sources.size(); k++)
            if (high(sources[k].valid) && high(sources[k].ready)) { sent[k]++; idle = 0; }
        for (size_t k = 0; k < sinks.size(); k++) {
            if (!high(sinks[k].valid) || !high(sinks[k].ready)) continue;
            seen[k].push_back(get(sinks[k].payload));
            ticks[k] += field(seen[k].back(), sinks[k].kind, sinks[k].kind_bits) == sinks[k].tick;
            idle = 0;
        }
        level(true);
    }
}

// What a copy of this process does once bits have flipped: it plays on, and tells.
static void finish(const Trial &trial, const End &first) {
    ostringstream text;
    vector<End> ends = {first};
    for (long k = 1; k <= trial.after; k++) {
        if (ends.back().how == "hung") reset();
        ends.push_back(play((trial.sample + k) % samples, [](long) {}));
    }
    vector<bool> seen = alarmed;
    bool cured = ends.back().how == "equal";
    if (!cured) {
        reset();
        cured = play(trial.sample, [](long) {}).how == "equal";
    }
    text << "trial " << trial.number << ' ' << cured << ' ';
    for (bool each : seen) text << each;
    for (auto &end : ends) text << ' ' << end.how << ':' << end.decision;
    text << '\n';
    cout << text.str() << flush;
    _exit(0);
}

int main(int, char **arguments) {
    ifstream in(arguments[1]);
    size_t length, inputs, outputs;
    in >> patience >> samples >> steps >> length;
    alarms.resize(length);
    alarmed.resize(length);
    for (auto &each : alarms) in >> each;
    auto weights = words(in);
    in >> inputs >> outputs;
    dut.debug_info(&items, nullptr, "");
    for (auto &each : items.table)
        for (auto &found : each.second) {
            bool memory = found.type == cxxrtl::debug_item::MEMORY;
            bool state = found.type == cxxrtl::debug_item::WIRE && found.flags & cxxrtl::debug_item::DRIVEN_SYNC;
            if (memory || state) parts.push_back({each.first, found});
        }
    sources.resize(inputs);
    for (auto &each : sources) {
        in >> each.name;
        for (long k = 0; k < samples; k++) each.samples.push_back(words(in));
        each.payload = item(each.name + "__payload");
        each.valid = item(each.name + "__valid");
        each.ready = item(each.name + "__ready");
    }
    sinks.resize(outputs);
    for (auto &each : sinks) {
        in >> each.name >> each.kind >> each.kind_bits >> each.address >> each.address_bits;
        in >> each.count >> each.count_bits >> each.is_signed >> each.tick;
        for (long k = 0; k < samples; k++) each.samples.push_back(words(in));
        each.payload = item(each.name + "__payload");
        each.valid = item(each.name + "__valid");
        each.ready = item(each.name + "__ready");
    }
    in >> length;
    vector<Trial> trials(length);
    for (auto &each : trials) {
        in >> each.number >> each.sample >> each.after >> length;
        each.flips.resize(length);
        for (auto &one : each.flips) in >> one.cycle >> one.part >> one.word >> one.bit;
    }
    for (auto &each : parts)
        cout << "part " << each.item.depth << ' ' << each.item.width << ' '
             << (each.item.type == cxxrtl::debug_item::MEMORY) << ' ' << each.name << '\n';
    cout << flush;
    if (items.table.count("decision__ready")) item("decision__ready")->next[0] = 1;
    reset();
    load(weights);
    size_t next = 0;
    const Trial *mine = nullptr;
    size_t flipped = 0;
    bool all = trials.empty();
    for (long sample = 0; sample < samples && (all || mine || next < trials.size()); sample++) {
        End end = play(sample, [&](long cycle) {
            while (!mine && next < trials.size() && trials[next].sample == sample
                   && trials[next].flips[0].cycle <= cycle) {
                pid_t child = fork();
                if (child == 0) {
                    mine = &trials[next];
                } else {
                    int status;
                    waitpid(child, &status, 0);
                    next++;
                }
            }
            while (mine && flipped < mine->flips.size() && mine->flips[flipped].cycle <= cycle)
                flip(mine->flips[flipped++]);
        });
        if (mine) finish(*mine, end);
        cout << "sample " << end.how << ' ' << end.cycles << ' ' << end.decision << endl;
    }
}
