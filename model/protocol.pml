/*
 * Create exactly once, with two workers: the protocol of lib/stages/submit, the journal, leases and fencing.
 * docs/decisions/model-of-the-protocol.md explains it. `npm run model` checks it with Spin.
 *
 * One span of records, two workers, one API. Every step of a worker is one option of its loop, so between any two steps it may
 * be frozen for any time, or die. Time is only what matters of it: how old the lease is, and whether the settle time is over.
 *
 * Mutations, each of which Spin must find: NO_DEADLINE, ARM_LATE, ADOPT_BLIND, NO_LISTING, NO_EPOCH, GIVE_UP_BLIND, GIVE_UP_EARLY.
 * WINDOW lets a worker freeze between the check of its deadline and the system call that sends the last byte.
 */

#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef FREEZES
#define FREEZES 2
#endif
#ifndef LOSSES
#define LOSSES 2
#endif

#define SENDS 6   /* creates that a run can have at most */
#define FOREIGN 9 /* a batch of somebody else, with the same request count */
#define NONE 10
#define WRONG 11  /* an id that the API does not know, from a gateway that lies */

/* The journal, which only grows: its last word on the span. UNANSWERED: its rows say so, and the user may send them again. */
mtype = { SEALED, ARMED, SUBMITTED, FETCHED, UNANSWERED }
mtype phase = SEALED
byte id = NONE    /* which create the journal says was accepted */
byte late = NONE  /* an id that came after its worker had lost the lease: evidence for the next one */

/* The lease, by the database's clock. In MARGIN the owner's own deadline has passed, and the lease has not ended. */
mtype = { FRESH, MARGIN, ENDED }
mtype lease = ENDED
byte epoch = 0
byte owner = 0
bool alive[3]

/* The settle time: no create of before its start is on its way, or accepted and not listed, when it is over. */
mtype = { OFF, RUNNING, OVER }
mtype settle = OFF
bool awaited[SENDS]

/* Each create: not sent, on its way, accepted but not listed yet, listed, gone. */
mtype = { UNSENT, SENT, ACCEPTED, LISTED, GONE }
mtype create[SENDS]
mtype = { SILENT, ID, LIE, REFUSED, LOST }
mtype reply[SENDS]
byte sends = 0
byte accepted = 0
bool foreignListed = false

byte crashes = CRASHES, freezes = FREEZES, losses = LOSSES

/* What a worker does next. */
mtype = { IDLE, LOOK, ARM, CHECK, SEND, REPLY, RECONCILE, WAIT, PROVE, ADOPT, RESEND, DISARM, FETCH, GIVE_UP, LATE_ARM }

#ifdef NO_EPOCH
#define MAY_APPEND true
#else
#define MAY_APPEND (epoch == mine)
#endif

/* The worker's deadline is earlier than the end of its lease, so while it has not passed nobody else can own the shard. */
#define IN_TIME (epoch == mine && lease == FRESH)

#define IS_OVER (phase == FETCHED || phase == UNANSWERED)

/* An id that came late says something new. */
#define IS_LATE_NEWS (late != NONE && late != id)

inline startSettle() {
  i = 0
  do
  :: i < SENDS -> awaited[i] = (create[i] == SENT || create[i] == ACCEPTED); i++
  :: else -> break
  od;
  i = 0;
  settle = RUNNING
}

/* An append renews the lease. */
inline renew() {
  if
  :: epoch == mine -> lease = FRESH
  :: else -> skip
  fi
}

inline sendNow() {
  n = sends;
  sends++;
  create[n] = SENT
}

/* A whole listing: a batch that may be ours, by its request count, and that has not been ruled out. */
inline listAll() {
  cand = NONE;
  if
  :: IS_LATE_NEWS -> cand = late
  :: else ->
     i = 0;
     do
     :: i < SENDS && create[i] == LISTED -> cand = i; break
     :: i < SENDS && create[i] != LISTED -> i++
     :: i >= SENDS -> break
     od;
     i = 0;
     if
     :: cand == NONE && foreignListed && !ruledOut -> cand = FOREIGN
     :: else -> skip
     fi
  fi
}

proctype Worker(byte me) {
  mtype pc = IDLE;
  byte mine = 0, n = 0, cand = NONE, i = 0;
  bool ruledOut = false;
  bool submitted = false; /* What it searches for: a batch with an unknown id, not one without a reply. */

  do
  /* A scheduler starts a worker, and starts it again. It takes the shard when the lease of the last owner has ended. */
  :: d_step { pc == IDLE && !IS_OVER && lease == ENDED ->
       epoch++; mine = epoch; owner = me; alive[me] = true; lease = FRESH;
       ruledOut = false; submitted = false; cand = NONE;
       if
       :: phase == ARMED -> startSettle()
       :: else -> skip
       fi;
       pc = LOOK }
  :: pc == IDLE && IS_OVER -> break

  /* Death at any point: what the worker knew is gone, and the lease runs out. */
  :: d_step { pc != IDLE && crashes > 0 && epoch == mine && !IS_OVER ->
       crashes--; alive[me] = false; pc = IDLE; n = 0; cand = NONE; i = 0 }

  /* A worker that hears that it has lost the shard leaves. It may hear of it late. */
  :: d_step { pc != IDLE && epoch != mine -> pc = IDLE; n = 0; cand = NONE; i = 0 }

  /* The heartbeat. */
  :: d_step { pc != IDLE && epoch == mine && lease == MARGIN -> lease = FRESH }

  :: d_step { pc == LOOK ->
       if
       :: phase == SEALED ->
#ifdef ARM_LATE
          pc = CHECK
#else
          pc = ARM
#endif
       :: phase == ARMED -> pc = RECONCILE
       :: phase == SUBMITTED -> pc = FETCH
       :: else -> pc = IDLE
       fi }

  /* `armed` is durable before the last byte is sent. */
  :: d_step { pc == ARM ->
       if
       :: MAY_APPEND -> phase = ARMED; settle = OFF; renew(); pc = CHECK
       :: else -> pc = IDLE
       fi }

#ifdef WINDOW
  :: d_step { pc == CHECK -> if :: IN_TIME -> pc = SEND :: else -> pc = DISARM fi }
  :: d_step { pc == SEND -> sendNow(); pc = REPLY }
#else
#ifdef NO_DEADLINE
  :: d_step { pc == CHECK -> sendNow(); pc = REPLY }
#else
#ifdef ARM_LATE
  :: d_step { pc == CHECK -> if :: IN_TIME -> sendNow(); pc = LATE_ARM :: else -> pc = IDLE fi }
  :: d_step { pc == LATE_ARM -> if :: MAY_APPEND -> phase = ARMED; settle = OFF; renew(); pc = REPLY :: else -> pc = IDLE fi }
#else
  :: d_step { pc == CHECK -> if :: IN_TIME -> sendNow(); pc = REPLY :: else -> pc = DISARM fi }
#endif
#endif
#endif

  :: d_step { pc == REPLY && reply[n] == ID ->
       if
       :: MAY_APPEND -> phase = SUBMITTED; id = n; renew(); pc = FETCH
       :: else -> late = n; pc = IDLE
       fi;
       n = 0 }
  /* The worker cannot see the lie. */
  :: d_step { pc == REPLY && reply[n] == LIE ->
       if
       :: MAY_APPEND -> phase = SUBMITTED; id = WRONG; renew(); pc = FETCH
       :: else -> late = WRONG; pc = IDLE
       fi;
       n = 0 }
  :: d_step { pc == REPLY && reply[n] == REFUSED -> n = 0; pc = DISARM }
  :: d_step { pc == REPLY && reply[n] == LOST ->
       if
       :: epoch == mine -> startSettle(); pc = RECONCILE
       :: else -> pc = IDLE
       fi;
       n = 0 }

  /* Nothing of the create exists: it was not sent, or the API refused it, or the search has proved it. */
  :: d_step { pc == DISARM ->
       if
       :: MAY_APPEND -> phase = SEALED; renew(); pc = LOOK
       :: else -> pc = IDLE
       fi }

  /* An unknown outcome, or an unknown id: list, prove what may be ours, wait for the settle time, list once more. */
  :: d_step { pc == RECONCILE ->
       listAll();
       if
       :: cand != NONE -> pc = PROVE
       :: cand == NONE && settle == OVER && !submitted -> pc = DISARM
#ifdef GIVE_UP_EARLY
       :: cand == NONE && submitted -> pc = GIVE_UP
#else
       :: cand == NONE && settle == OVER && submitted -> pc = GIVE_UP
#endif
       :: else -> pc = WAIT
       fi }
#ifdef NO_LISTING
  :: d_step { pc == WAIT && settle == OVER && !submitted -> pc = DISARM }
  :: d_step { pc == WAIT && settle == OVER && submitted -> pc = GIVE_UP }
#else
  :: d_step { pc == WAIT && (settle == OVER || IS_LATE_NEWS || (foreignListed && !ruledOut)) -> pc = RECONCILE }
#endif
  /* The results of a candidate have our custom_ids, or they have not. */
  :: d_step { pc == PROVE ->
#ifdef ADOPT_BLIND
       pc = ADOPT
#else
       if
       :: cand == FOREIGN -> ruledOut = true; cand = NONE; pc = RECONCILE
       :: else -> pc = ADOPT
       fi
#endif
       }
  :: d_step { pc == ADOPT ->
       if
       :: MAY_APPEND -> phase = SUBMITTED; id = cand; renew(); pc = FETCH
       :: else -> pc = IDLE
       fi;
       cand = NONE }

  /* The API does not know the id, so the outcome of the create is as unknown as without a reply. */
  :: d_step { pc == FETCH && id == WRONG ->
       if
       :: epoch == mine ->
#ifdef GIVE_UP_BLIND
          pc = GIVE_UP
#else
          startSettle(); submitted = true; pc = RECONCILE
#endif
       :: else -> pc = IDLE
       fi }
  /* Nothing is sent again by itself, but the user may do so. */
  :: d_step { pc == GIVE_UP ->
       if
       :: MAY_APPEND -> assert(accepted == 0); phase = UNANSWERED; renew(); pc = IDLE
       :: else -> pc = IDLE
       fi }

  /* The answers are those to our records. */
  :: d_step { pc == FETCH && id != WRONG ->
       assert(id != FOREIGN);
       if
       :: MAY_APPEND -> phase = FETCHED; renew(); pc = IDLE
       :: else -> pc = IDLE
       fi }
  od
}

/* The API and the network: late, lossy, and never wrong about what it accepted, but a gateway may reply with any id. */
proctype Api() {
  byte n = 0;
end:
  do
  :: create[0] == SENT || create[1] == SENT || create[2] == SENT || create[3] == SENT || create[4] == SENT || create[5] == SENT ->
     atomic {
       n = 0;
       do
       :: n < SENDS && create[n] == SENT -> break
       :: n < SENDS && create[n] != SENT -> n++
       :: n >= SENDS -> break
       od;
       if
       :: n < SENDS ->
          if
          :: create[n] = ACCEPTED; accepted++;
             /* Never two accepted batches for one span. */
             assert(accepted <= 1);
             /* Nor one that appears after its rows were given up. */
             assert(phase != UNANSWERED);
             if
             :: reply[n] == SILENT -> reply[n] = ID
             :: reply[n] == SILENT && losses > 0 -> losses--; reply[n] = LOST
             :: reply[n] == SILENT && losses > 0 -> losses--; reply[n] = LIE
             :: reply[n] != SILENT -> skip
             fi
          :: losses > 0 -> losses--; create[n] = GONE;
             if
             :: reply[n] == SILENT -> reply[n] = REFUSED
             :: reply[n] == SILENT -> reply[n] = LOST
             :: reply[n] == SILENT -> reply[n] = LIE
             :: reply[n] != SILENT -> skip
             fi
          /* The client gives up, and the create is still on its way. */
          :: losses > 0 && reply[n] == SILENT -> losses--; reply[n] = LOST
          /* A gateway answers from a cache, and passes the create on later. */
          :: losses > 0 && reply[n] == SILENT -> losses--; reply[n] = LIE
          fi
       :: else -> skip
       fi;
       n = 0
     }
  /* A batch shows in the listing some time after it was accepted. */
  :: create[0] == ACCEPTED || create[1] == ACCEPTED || create[2] == ACCEPTED || create[3] == ACCEPTED || create[4] == ACCEPTED || create[5] == ACCEPTED ->
     d_step {
       n = 0;
       do
       :: n < SENDS && create[n] == ACCEPTED -> create[n] = LISTED; n = SENDS
       :: n < SENDS && create[n] != ACCEPTED -> n++
       :: n >= SENDS -> break
       od;
       n = 0
     }
  :: !foreignListed -> foreignListed = true
  od
}

#define PENDING(n) (awaited[n] && (create[n] == SENT || create[n] == ACCEPTED))

proctype Clock() {
end:
  do
  /* The lease of a dead owner runs out; that of a living one does so while it is frozen. */
  :: d_step { lease == FRESH && owner != 0 && !alive[owner] -> lease = MARGIN }
  :: d_step { lease == FRESH && owner != 0 && alive[owner] && freezes > 0 -> freezes--; lease = MARGIN }
  :: d_step { lease == MARGIN -> lease = ENDED }
  :: d_step { settle == RUNNING && !PENDING(0) && !PENDING(1) && !PENDING(2) && !PENDING(3) && !PENDING(4) && !PENDING(5) -> settle = OVER }
  od
}

init {
  byte i = 0;
  atomic {
    do
    :: i < SENDS -> create[i] = UNSENT; reply[i] = SILENT; i++
    :: else -> break
    od;
    run Worker(1); run Worker(2); run Api(); run Clock()
  }
}
