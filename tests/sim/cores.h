/* The cores that run: those of production. */
#ifndef TICKETLAB_SIM_CORES_H
#define TICKETLAB_SIM_CORES_H

#include "actors/admission/admission.h"
#include "actors/payment-timer/payment_timer.h"
#include "actors/seat-arbiter/seat_arbiter.h"

#define CORE_ADMISSION (&admission_actor)
#define CORE_ARBITER (&seat_arbiter_actor)
#define CORE_TIMER (&payment_timer_actor)

#endif
