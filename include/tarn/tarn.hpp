// SPDX-License-Identifier: BSD-3-Clause
//
// Every operator. Adapters for Eigen and for standard containers are headers of their own.
#pragma once

#include <tarn/ada_pool.hpp>
#include <tarn/ada_unpool.hpp>
#include <tarn/gem.hpp>
#include <tarn/half.hpp>
#include <tarn/log_softmax.hpp>
#include <tarn/masked_softmax.hpp>
#include <tarn/merge_plan.hpp>
#include <tarn/pool.hpp>
#include <tarn/soft_pool.hpp>
#include <tarn/softmax.hpp>
#include <tarn/softmax_backward.hpp>
#include <tarn/softmax_state.hpp>
#include <tarn/softpick.hpp>
#include <tarn/sparse_softmax.hpp>
#include <tarn/token_cluster.hpp>
#include <tarn/token_merge.hpp>
#include <tarn/token_pool.hpp>
#include <tarn/token_pool_backward.hpp>
#include <tarn/top_k.hpp>
