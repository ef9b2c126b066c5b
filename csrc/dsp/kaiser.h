// Kaiser-windowed sinc filters (Oppenheim and Schafer, Discrete-Time Signal
// Processing, 7.5.3). Used while a stream is built, in double precision.
#pragma once

namespace voxhop {

/// Shape parameter for a stop band `attenuation_db` down; valid from 50 dB on.
double kaiser_beta(double attenuation_db);

/// Filter length in samples for a transition of `width` cycles per sample.
double kaiser_length(double attenuation_db, double width);

/// Low-pass of `cutoff` cycles per sample at time t (samples), zero for |t| >= half_width.
double windowed_sinc(double t, double cutoff, double half_width, double beta);

}  // namespace voxhop
