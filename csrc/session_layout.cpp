// Of Session: lanes that travel, between each other, host memory and layouts.
#include "kv.h"
#include "kv_blob.h"
#include "session.h"

#include <algorithm>
#include <new>
#include <utility>

#include "llama.h"

namespace pyrunner {

Status Session::move_lane(int32_t from, int32_t to) noexcept {
    if (!is_lane(from) || !is_lane(to) || from == to || is_begun_ ||
        lanes_[static_cast<size_t>(to)].is_open()) {
        return kBadArgument;
    }
    LaneBlob blob;
    Status status = kv_save(context_, from, blob);
    if (status == kOk) {
        kv_clear(context_, to);
        status = kv_restore(context_, to, blob);
    }
    set_length(to, 0);
    if (status != kOk) {
        return status;
    }
    std::swap(lanes_[static_cast<size_t>(to)], lanes_[static_cast<size_t>(from)]);
    lengths_[static_cast<size_t>(to)] = lengths_[static_cast<size_t>(from)];
    return clear_lane(from);
}

Status Session::save_lane(int32_t lane, LaneBlob & blob) noexcept {
    return !is_lane(lane) || is_begun_ ? kBadArgument : kv_save(context_, lane, blob);
}

Status Session::restore_lane(int32_t lane, const LaneBlob & blob, int32_t n_lanes) noexcept try {
    if (!is_lane(lane) || is_begun_ || lanes_[static_cast<size_t>(lane)].is_open()) {
        return kBadArgument;
    }
    kv_clear(context_, lane);
    set_length(lane, 0);
    const bool is_foreign = n_lanes != params_.n_lanes;
    LaneBlob converted;
    if (is_foreign && !convert_kv_blob(blob, n_lanes, params_.n_lanes, converted)) {
        return kUnsupported;
    }
    const Status status = kv_restore(context_, lane, is_foreign ? converted : blob);
    lengths_[static_cast<size_t>(lane)] = kv_length(context_, lane);
    return status;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
}

Status Session::detach_lane(int32_t lane, OpenLane & out) noexcept {
    if (!is_lane(lane) || is_begun_ || out.is_open() ||
        !lanes_[static_cast<size_t>(lane)].is_open()) {
        return kBadArgument;
    }
    std::swap(lanes_[static_cast<size_t>(lane)], out);
    return kOk;
}

Status Session::attach_lane(int32_t lane, OpenLane & from) noexcept {
    if (!is_lane(lane) || is_begun_ || !from.is_open() ||
        lanes_[static_cast<size_t>(lane)].is_open()) {
        return kBadArgument;
    }
    std::swap(lanes_[static_cast<size_t>(lane)], from);
    return kOk;
}

Status Session::set_layout(int32_t n_ctx, int32_t n_lanes) noexcept try {
    const auto is_open = [](const OpenLane & lane) { return lane.is_open(); };
    if (is_begun_ || n_ctx < 1 || n_lanes < 1 || n_lanes > n_lanes_max_ ||
        std::any_of(lanes_.begin(), lanes_.end(), is_open)) {
        return kBadArgument;
    }
    // Before the new one is made: both would not fit.
    llama_free(context_);
    context_ = nullptr;
    output_rows_.clear();
    params_.n_ctx = n_ctx;
    params_.n_lanes = n_lanes;
    return make_context();
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kLoadFailed;
}

} // namespace pyrunner
