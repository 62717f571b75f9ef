/* The cores that run: those of production. */
#ifndef TICKETLAB_SIM_CORES_H
#define TICKETLAB_SIM_CORES_H

#include "actors/admission/admission.h"
#include "actors/payment-timer/payment_timer.h"
#if __has_include("actors/seat-arbiter/seat_arbiter.h")
#include "actors/seat-arbiter/seat_arbiter.h"
#define CORE_ARBITER (&seat_arbiter_actor)
#else
#define CORE_ARBITER NULL
#endif

#define CORE_ADMISSION (&admission_actor)
#define CORE_TIMER (&payment_timer_actor)

#endif
