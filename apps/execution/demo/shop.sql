-- What the demo's shop sells and to whom, in any database. Rows that are there stay as they are.

INSERT INTO article (number, name, price_cents, stock) VALUES
    ('A-101', 'Ballpoint pens, box of 50', 1290, 400),
    ('A-102', 'Copy paper, 5 reams', 2490, 600),
    ('A-103', 'Ring binder, blue', 349, 900),
    ('A-104', 'Desk lamp', 4990, 120),
    ('A-105', 'Whiteboard, 120 x 90 cm', 8900, 60),
    ('A-106', 'Stapler', 1190, 250),
    ('A-107', 'Office chair', 24900, 90),
    ('A-108', 'Standing desk', 64900, 70),
    ('A-109', 'Monitor arm', 7900, 14),
    ('A-110', 'Webcam', 5900, 9),
    ('A-111', 'Paper shredder', 11900, 6),
    ('A-112', 'Label printer', 9900, 5),
    ('A-113', 'Sample catalogue', 0, 500)
ON CONFLICT DO NOTHING;

INSERT INTO customer (number, name, limit_cents) VALUES
    ('C-01', 'Harbour Print', 150000),
    ('C-02', 'Miller & Sons', 80000),
    ('C-03', 'Blue Door School', 60000),
    ('C-04', 'Nordic Tea House', 50000),
    ('C-05', 'Old Mill Bakery', 40000),
    ('C-06', 'City Library', 300000),
    ('C-07', 'Greenfield Clinic', 500000),
    ('C-08', 'Riverside Dentists', 120000),
    ('C-09', 'Lighthouse Studio', 90000),
    ('C-10', 'Station Garage', 70000),
    ('C-11', 'Maple Accounting', 200000),
    ('C-12', 'Corner Bookshop', 30000),
    ('C-13', 'Summit Sports Club', 60000),
    ('C-14', 'Alder Architects', 400000),
    ('C-15', 'Pine Street Hotel', 250000),
    ('C-16', 'Westgate Theatre', 100000)
ON CONFLICT DO NOTHING;

INSERT INTO loyalty_card (number, customer) VALUES
    ('L-1000', 'C-01'),
    ('L-1007', 'C-02'),
    ('L-1021', 'C-04'),
    ('L-1028', 'C-05'),
    ('L-1042', 'C-07'),
    ('L-1049', 'C-08'),
    ('L-1063', 'C-10'),
    ('L-1070', 'C-11'),
    ('L-1084', 'C-13'),
    ('L-1091', 'C-14'),
    ('L-1105', 'C-16')
ON CONFLICT DO NOTHING;
