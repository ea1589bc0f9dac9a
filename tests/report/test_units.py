import pytest

from tfkd.report import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (units.percent(0.9123), "91.2 %"),
        (units.percent(1.0), "100.0 %"),
        (units.percent(0.004, 0), "0 %"),
        (units.plus_minus(0.886, 0.0031), "88.6 % ± 0.3"),
        (units.points(0.0123), "+1.2 points"),
        (units.points(-0.0123), "−1.2 points"),
        (units.points(-0.0001), "0.0 points"),
        (units.size(812), "812 B"),
        (units.size(1_655_300), "1.66 MB"),
        (units.size(18_592_000), "18.6 MB"),
        (units.size(999_999), "1000 kB"),
        (units.size(2_500_000_000), "2.50 GB"),
        (units.size(57_300_000_000_000), "57.3 TB"),
        (units.duration(75.4), "75 s"),
        (units.duration(754.0), "12.6 min"),
        (units.duration(75_400.0), "20.9 h"),
        (units.duration(1e6), "11.6 days"),
        (units.megabytes(12.34), "12.3 MB"),
        (units.milliseconds(0.01234), "0.0123 ms"),
        (units.milliseconds(21.42), "21.4 ms"),
        (units.milliseconds(1234.5), "1234 ms"),
        (units.times(11.23, "smaller", "larger"), "11.2 times smaller"),
        (units.times(0.5, "faster", "slower"), "2.00 times slower"),
        (units.counted(1, "part"), "1 part"),
        (units.counted(0, "part"), "0 parts"),
        (units.significant(0.0), "0"),
        (units.rounded(0.99444), "0.994"),
        (units.rounded(12345.6), "12346"),
        (units.rounded(3.1415e-7), "3.14e-07"),
        (units.rounded_limit(0.9955), "0.9955"),
        (units.rounded_beside(0.98765, 0.95), "0.988"),
        (units.rounded_beside(0.95993, 0.96), "0.9599"),
        (units.rounded_beside(0.020004, 0.02), "0.020004"),
        (units.rounded_beside(0.02 + 1e-10, 0.02), "0.02"),
        (units.rounded_beside(1 - 1 / 300, 1 - 1 / 300), "0.9967"),
        (units.significant(float("nan")), "nan"),
    ],
)
def test_numbers_are_written_plainly(text, expected):
    assert text == expected
